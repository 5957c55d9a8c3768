import assert from "node:assert/strict";
import { test } from "node:test";

import { MAX_PACKET, type Packet, PacketError, publishHeader } from "../src/mqtt/packet.js";
import { PacketStream } from "../src/mqtt/stream.js";

/** Feeds bytes in pieces and gives the packets. */
function packets(bytes: Buffer, piece: number): Packet[] {
  const found: Packet[] = [];
  const stream = new PacketStream((packet) => found.push(packet));
  for (let start = 0; start < bytes.length; start += piece) {
    stream.push(bytes.subarray(start, start + piece));
  }
  return found;
}

test("packets are found however the bytes are cut", () => {
  const payload = Buffer.alloc(300, "p");
  const publish = Buffer.concat([publishHeader(258, "a/b", payload.length), payload]);
  const bytes = Buffer.concat([Buffer.from([0x20, 2, 0, 0]), publish, Buffer.from([0x90, 3, 0, 7, 1]), publish]);
  const message = { type: "publish", topic: "a/b", payload, qos: 1, id: 258 };
  const expected = [{ type: "connack", code: 0 }, message, { type: "suback", id: 7, code: 1 }, message];
  for (let piece = 1; piece <= bytes.length; piece += 1) {
    assert.deepEqual(packets(bytes, piece), expected, `in pieces of ${piece}`);
  }
});

test("what is not MQTT is refused", () => {
  const table = [
    { summary: "a length of five bytes", bytes: [0x30, 0x80, 0x80, 0x80, 0x80, 1] },
    { summary: "a topic longer than its packet", bytes: [0x32, 4, 0, 9, 0x61, 0x62] },
    { summary: "QoS 2", bytes: [0x34, 5, 0, 1, 0x61, 0, 1] },
    { summary: "an empty CONNACK", bytes: [0x20, 0] },
    { summary: "a packet for brokers", bytes: [0x10, 0] },
    { summary: "a topic that is cut", bytes: [0x30, 1, 0] },
  ];
  for (const { summary, bytes } of table) {
    assert.throws(() => packets(Buffer.from(bytes), 64), PacketError, summary);
  }
});

test("what is too large for MQTT is refused before it is sent", () => {
  assert.throws(() => publishHeader(1, "t", MAX_PACKET), /268435455 bytes/);
  assert.equal(publishHeader(1, "t", MAX_PACKET - 5).length, 10);
});
