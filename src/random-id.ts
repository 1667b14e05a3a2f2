const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/**
 * 128 random bits as Kafka writes a Uuid: 22 characters of base64url, never with a leading dash, which Kafka's tools
 * would take for an option. Unlikely ever to be drawn twice, and not meant to be hard to guess: node:crypto would cost
 * each start of a program more than all the rest of opening a broker.
 */
export function randomId(): string {
  let id = ''
  while (id.length < 21) id += ALPHABET[Math.floor(Math.random() * 64)] ?? ''
  // 21 characters hold 126 bits; the last one holds two bits and four zeros.
  id += ALPHABET[Math.floor(Math.random() * 4) * 16] ?? ''
  return id.startsWith('-') ? randomId() : id
}
