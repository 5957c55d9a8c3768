/** Cuts the bytes of a connection into packets. Each byte of a large packet is copied once. */

import { parse, remainingLength, type Packet } from "./packet.js";

/** The longest fixed header: the type and four bytes of length. */
const MAX_HEADER = 5;

/** Takes bytes as they come and hands packets on. */
export class PacketStream {
  #chunks: Buffer[] = [];
  #buffered = 0;
  /** Bytes that the packet at hand takes, with its header; 0 while that is not known. */
  #needed = 0;

  constructor(private readonly onPacket: (packet: Packet) => void) {}

  /** Takes what came; throws a `PacketError` on what is not MQTT. */
  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#buffered += chunk.length;
    while (this.#buffered > 0 && this.#takePacket()) {
      // Each turn takes one packet.
    }
  }

  #takePacket(): boolean {
    if (this.#needed === 0) {
      const header = remainingLength(this.#peek(MAX_HEADER));
      if (header === undefined) {
        return false;
      }
      this.#needed = header.start + header.length;
    }
    if (this.#buffered < this.#needed) {
      return false;
    }
    const bytes = this.#take(this.#needed);
    this.#needed = 0;
    const start = remainingLength(bytes)?.start ?? bytes.length;
    this.onPacket(parse(bytes[0] ?? 0, bytes.subarray(start)));
    return true;
  }

  /** The first bytes, at most `count`. */
  #peek(count: number): Buffer {
    const first = this.#chunks[0];
    if (first !== undefined && (first.length >= count || this.#chunks.length === 1)) {
      return first.subarray(0, count);
    }
    return Buffer.concat(this.#chunks, Math.min(count, this.#buffered));
  }

  #take(count: number): Buffer {
    const all = this.#chunks.length === 1 ? this.#chunks[0] : Buffer.concat(this.#chunks, this.#buffered);
    const bytes = all ?? Buffer.alloc(0);
    this.#chunks = bytes.length > count ? [bytes.subarray(count)] : [];
    this.#buffered -= count;
    return bytes.subarray(0, count);
  }
}
