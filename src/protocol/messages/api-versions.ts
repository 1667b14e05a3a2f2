/**
 * What the broker speaks. The one response whose header never has tags, since the client does not know yet what the
 * broker can read. A request of a version that is not known here is answered in version 0 with error 35.
 */
export const apiVersions = {
  key: 18,
  name: 'ApiVersions',
  versions: [0, 4],
  flexible: 3,
  request: {
    clientSoftwareName: 'string 3+',
    clientSoftwareVersion: 'string 3+',
  },
  response: {
    errorCode: 'int16',
    apiKeys: {
      array: {
        apiKey: 'int16',
        minVersion: 'int16',
        maxVersion: 'int16',
      },
    },
    throttleTimeMs: 'int32 1+',
    supportedFeatures: {
      is: '3+ tag 0',
      array: {
        name: 'string',
        minVersion: 'int16',
        maxVersion: 'int16',
      },
    },
    finalizedFeaturesEpoch: 'int64 3+ tag 1 = -1',
    finalizedFeatures: {
      is: '3+ tag 2',
      array: {
        name: 'string',
        maxVersionLevel: 'int16',
        minVersionLevel: 'int16',
      },
    },
    zkMigrationReady: 'bool 3+ tag 3 = false',
  },
} as const
