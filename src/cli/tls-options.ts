import { readFile } from 'node:fs/promises'
import { createSecureContext, type TlsOptions } from 'node:tls'
import { reasonOf } from '../reason-of.js'
import { CommandFailure, fileFailure } from './failures.js'
import type { ListenerTls } from './listener-security.js'

/** What Node's tls.createServer takes for it, checked. Throws CommandFailure. */
export async function tlsOptionsOf({ keystore, truststore, minVersion, maxVersion }: ListenerTls): Promise<TlsOptions> {
  const options: TlsOptions = {
    minVersion,
    maxVersion,
    ...(await keyOf(keystore)),
    ...(truststore !== undefined && { ca: await trusted(truststore), requestCert: true, rejectUnauthorized: true }),
  }
  try {
    createSecureContext(options)
  } catch (error) {
    const from = 'location' in keystore ? keystore.location : 'ssl.keystore.key'
    throw new CommandFailure(`TLS cannot be set up from ${from}: ${reasonOf(error)}. Check its passwords and its form.`)
  }
  return options
}

async function keyOf(keystore: ListenerTls['keystore']): Promise<TlsOptions> {
  if (keystore.type === 'PKCS12') {
    const { location, password } = keystore
    return { pfx: await read(location), ...(password !== undefined && { passphrase: password }) }
  }
  // A file of PEM has the key and the certificates, each of which is found among the others.
  const pem = 'location' in keystore ? await read(keystore.location) : undefined
  return {
    key: pem ?? ('key' in keystore ? keystore.key : ''),
    cert: pem ?? ('certificateChain' in keystore ? keystore.certificateChain : ''),
    ...(keystore.keyPassword !== undefined && { passphrase: keystore.keyPassword }),
  }
}

async function trusted(truststore: NonNullable<ListenerTls['truststore']>): Promise<Buffer | string> {
  return 'location' in truststore ? read(truststore.location) : truststore.certificates
}

async function read(path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (error) {
    throw fileFailure(error, 'read', path)
  }
}
