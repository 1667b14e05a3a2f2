/** Gets Apache Kafka 4.2 with Maven, and resolves to its class path. Rejects where that cannot be had. */
export function kafkaClassPath(): Promise<string>
