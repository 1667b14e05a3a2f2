import { OttlaError } from '../errors.js'

/**
 * Memory that batches are copied into, one after the other. `exposed` is set by whoever hands out a view of it, and
 * stays: such a slab is never written to where it was written before, and never used again.
 */
export interface Slab {
  readonly bytes: Uint8Array
  exposed: boolean
  /** How many hold it; counted by `SlabPool`. */
  holders: number
}

export const SMALLEST_SLAB_BYTES = 1024
/** A larger one is made only for a batch that needs it. */
export const LARGEST_POOLED_SLAB_BYTES: number = 1024 * 1024

/**
 * Gives out slabs and takes them back, since fresh memory costs ten times what used memory costs to fill. A slab comes
 * back when nobody holds it any more, unless it was exposed: a view may live for ever, so the garbage collector has to
 * decide. A fresh slab is not zeroed: hand out what was written, nothing else.
 */
export class SlabPool {
  readonly #maxBytes: number
  readonly #freeBySize = new Map<number, Slab[]>()
  #freeBytes = 0

  /** Keeps up to `maxBytes` of slabs that nobody holds. */
  constructor(maxBytes: number = 16 * 1024 * 1024) {
    this.#maxBytes = maxBytes
  }

  get freeBytes(): number {
    return this.#freeBytes
  }

  /**
   * A slab of at least `size` bytes, held once. Up to 1 MiB its size is a power of two; above it is exact.
   * Throws OTTLA_STORAGE_FULL where the process gets no more memory.
   */
  acquire(size: number): Slab {
    const slabBytes = slabBytesFor(size)
    const free = this.#freeBySize.get(slabBytes)?.pop()
    if (free === undefined) return { bytes: allocate(slabBytes), exposed: false, holders: 1 }
    this.#freeBytes -= slabBytes
    free.holders = 1
    return free
  }

  /** Holds `slab` once more: one more `release` is needed. */
  share(slab: Slab): void {
    slab.holders++
  }

  release(slab: Slab): void {
    if (slab.holders === 0) throw new OttlaError('OTTLA_INVALID_ARGUMENT', 'A slab was released more often than held.')
    slab.holders--
    const size = slab.bytes.length
    if (slab.holders > 0 || slab.exposed || size > LARGEST_POOLED_SLAB_BYTES) return
    if (this.#freeBytes + size > this.#maxBytes) return
    const free = this.#freeBySize.get(size)
    if (free === undefined) this.#freeBySize.set(size, [slab])
    else free.push(slab)
    this.#freeBytes += size
  }

  /** Gives the slabs that nobody holds to the garbage collector. */
  clear(): void {
    this.#freeBySize.clear()
    this.#freeBytes = 0
  }
}

function slabBytesFor(size: number): number {
  if (size > LARGEST_POOLED_SLAB_BYTES) return size
  let slabBytes = SMALLEST_SLAB_BYTES
  while (slabBytes < size) slabBytes *= 2
  return slabBytes
}

function allocate(size: number): Uint8Array {
  try {
    const buffer = Buffer.allocUnsafeSlow(size)
    return new Uint8Array(buffer.buffer, buffer.byteOffset, size)
  } catch (cause) {
    throw new OttlaError(
      'OTTLA_STORAGE_FULL',
      `The process got no ${size} bytes of memory for a slab. Set maxBytes, shorten retention or give the process more memory.`,
      { cause },
    )
  }
}
