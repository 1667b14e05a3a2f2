/**
 * Names the mechanism of the authentication that follows: in SaslAuthenticate after version 1, in tokens of a bare
 * length and content after version 0. Version 0 has to be offered, or older librdkafka gives up.
 */
export const saslHandshake = {
  key: 17,
  name: 'SaslHandshake',
  versions: [0, 1],
  flexible: 'never',
  request: {
    mechanism: 'string',
  },
  response: {
    errorCode: 'int16',
    mechanisms: '[]string',
  },
} as const
