/**
 * Kafka's default partitioner: murmur2 of the key's UTF-8 bytes, made positive, modulo the number
 * of partitions (org.apache.kafka.common.utils.Utils#murmur2). Every adapter uses it, so a key lies
 * in the same partition on every engine.
 */
export function partitionOf(key: string, partitions: number): number {
  return (murmur2(encoder.encode(key)) & 0x7fffffff) % partitions;
}

const encoder = new TextEncoder();
const seed = 0x9747b28c;
const m = 0x5bd1e995;
const r = 24;

/** Signed 32 bits, as in Java. */
export function murmur2(data: Uint8Array): number {
  const length = data.length;
  const words = length >> 2;
  const view = new DataView(data.buffer, data.byteOffset, length);
  let h = seed ^ length;
  for (let word = 0; word < words; word++) {
    let k = Math.imul(view.getInt32(word * 4, true), m);
    k ^= k >>> r;
    h = Math.imul(h, m) ^ Math.imul(k, m);
  }
  const tail = words * 4;
  const rest = length - tail;
  if (rest > 0) {
    for (let index = rest - 1; index >= 0; index--) h ^= view.getUint8(tail + index) << (8 * index);
    h = Math.imul(h, m);
  }
  h ^= h >>> 13;
  h = Math.imul(h, m);
  return h ^ (h >>> 15);
}
