/*
 * A batch in format v2, all big-endian. The checksum covers the attributes and all behind them.
 *
 *    0 baseOffset i64 | 8 batchLength i32 (bytes behind this field) | 12 partitionLeaderEpoch i32 | 16 magic i8 = 2
 *   17 crc u32 | 21 attributes i16 | 23 lastOffsetDelta i32 | 27 baseTimestamp i64 | 35 maxTimestamp i64
 *   43 producerId i64 | 51 producerEpoch i16 | 53 baseSequence i32 | 57 recordCount i32 | 61 records
 *
 * attributes: bits 0-2 compression, 3 log append time, 4 transactional, 5 control, 6 baseTimestamp is the delete
 * horizon (records count from it all the same), 7-15 zero.
 *
 * A record: length varint (bytes behind it) | attributes i8 = 0 | timestampDelta varlong | offsetDelta varint
 *   keyLength varint (-1: null) | key | valueLength varint (-1: null) | value | headerCount varint | headers
 * A header: nameLength varint | name in UTF-8 | valueLength varint (-1: null) | value
 */

export const BATCH_LENGTH_AT = 8
export const PARTITION_LEADER_EPOCH_AT = 12
export const MAGIC_AT = 16
export const CRC_AT = 17
export const ATTRIBUTES_AT = 21
export const LAST_OFFSET_DELTA_AT = 23
export const BASE_TIMESTAMP_AT = 27
export const MAX_TIMESTAMP_AT = 35
export const PRODUCER_ID_AT = 43
export const PRODUCER_EPOCH_AT = 51
export const BASE_SEQUENCE_AT = 53
export const RECORD_COUNT_AT = 57
export const BATCH_HEADER_BYTES = 61
/** Bytes up to and with the batchLength field, which does not count them. */
export const LENGTH_OVERHEAD = 12

export const MAGIC = 2

export const COMPRESSION_BITS = 0x07
export const LOG_APPEND_TIME_BIT = 0x08
export const TRANSACTIONAL_BIT = 0x10
export const CONTROL_BIT = 0x20
export const DELETE_HORIZON_BIT = 0x40
/** Bits that a newer Kafka may give a meaning. */
export const UNKNOWN_ATTRIBUTE_BITS = 0xff80

/** A record with neither key, value nor headers: seven fields of a byte each. */
export const MIN_RECORD_BYTES = 7
/** A header with an empty name and no value. */
export const MIN_HEADER_BYTES = 2
/** A message of format v0 behind its length: checksum, magic, attributes and two null lengths. */
export const LEAST_OLD_MESSAGE_BYTES = 14
