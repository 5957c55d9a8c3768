/**
 * Packets of MQTT 3.1.1, as far as a client needs them: no will, no retained messages, QoS 0 and 1.
 *
 * What enters are values or the bytes of one packet; what leaves are bytes or one packet. No socket is known here.
 */

/** The largest packet, counted after its fixed header (MQTT 3.1.1, 2.2.3). */
export const MAX_PACKET = 268_435_455;

/** What a broker sends to a client. */
export type Packet =
  | { type: "connack"; code: number }
  | { type: "publish"; topic: string; payload: Buffer; qos: number; id: number }
  | { type: "puback"; id: number }
  | { type: "suback"; id: number; code: number }
  | { type: "unsuback"; id: number }
  | { type: "pingresp" };

/** The bytes do not follow MQTT 3.1.1, or are more than it allows. */
export class PacketError extends Error {
  override readonly name = "PacketError";
}

/** CONNECT with a clean session. `keepAlive` is in seconds; 0 is none. */
export function connect(clientId: string, keepAlive: number): Buffer {
  const CLEAN_SESSION = 0x02;
  const variable = Buffer.from([0, 4, 0x4d, 0x51, 0x54, 0x54, 4, CLEAN_SESSION, keepAlive >> 8, keepAlive & 0xff]);
  return join(0x10, [variable, text(clientId)]);
}

/** SUBSCRIBE to one topic. */
export function subscribe(id: number, topic: string, qos: 0 | 1): Buffer {
  return join(0x82, [uint16(id), text(topic), Buffer.from([qos])]);
}

/** UNSUBSCRIBE from one topic. */
export function unsubscribe(id: number, topic: string): Buffer {
  return join(0xa2, [uint16(id), text(topic)]);
}

/** Everything of a PUBLISH with QoS 1 but its payload, which follows as it is. */
export function publishHeader(id: number, topic: string, payloadLength: number): Buffer {
  const name = text(topic);
  const length = name.length + 2 + payloadLength;
  if (length > MAX_PACKET) {
    throw new PacketError(`a message of ${payloadLength} bytes is too large: MQTT carries at most ${MAX_PACKET} bytes`);
  }
  return Buffer.concat([fixedHeader(0x32, length), name, uint16(id)]);
}

/** PUBACK: answers a message that came with QoS 1. */
export function puback(id: number): Buffer {
  return Buffer.from([0x40, 2, id >> 8, id & 0xff]);
}

/** DISCONNECT. */
export function disconnect(): Buffer {
  return Buffer.from([0xe0, 0]);
}

/** Reads one packet from its first byte and what follows its fixed header. */
export function parse(first: number, body: Buffer): Packet {
  switch (first >> 4) {
    case 2:
      return { type: "connack", code: byteAt(body, 1) };
    case 3:
      return parsePublish(first, body);
    case 4:
      return { type: "puback", id: uint16At(body, 0) };
    case 9:
      return { type: "suback", id: uint16At(body, 0), code: byteAt(body, 2) };
    case 11:
      return { type: "unsuback", id: uint16At(body, 0) };
    case 13:
      return { type: "pingresp" };
    default:
      throw new PacketError(`the broker sent a packet of type ${first >> 4}, which is not meant for clients`);
  }
}

function parsePublish(first: number, body: Buffer): Packet {
  const qos = (first >> 1) & 3;
  const end = 2 + uint16At(body, 0);
  const start = qos === 0 ? end : end + 2;
  if (qos > 1 || start > body.length) {
    throw new PacketError("the broker sent a PUBLISH that does not hold together");
  }
  const id = qos === 0 ? 0 : uint16At(body, end);
  return { type: "publish", topic: body.toString("utf8", 2, end), payload: body.subarray(start), qos, id };
}

/** The length of what follows a fixed header, and where it begins; `undefined` when bytes are missing. */
export function remainingLength(bytes: Buffer): { length: number; start: number } | undefined {
  let length = 0;
  for (let index = 1; index <= 4; index += 1) {
    const byte = bytes[index];
    if (byte === undefined) {
      return undefined;
    }
    length += (byte & 0x7f) * 128 ** (index - 1);
    if (byte < 0x80) {
      return { length, start: index + 1 };
    }
  }
  throw new PacketError("the broker sent a packet whose length takes more than four bytes");
}

function join(first: number, parts: Buffer[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([fixedHeader(first, length), ...parts]);
}

function fixedHeader(first: number, length: number): Buffer {
  const bytes = [first];
  let rest = length;
  do {
    const more = rest >= 128 ? 0x80 : 0;
    bytes.push((rest % 128) | more);
    rest = Math.floor(rest / 128);
  } while (rest > 0);
  return Buffer.from(bytes);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, "utf8");
  if (bytes.length > 0xffff) {
    throw new PacketError(`a topic or name of ${bytes.length} bytes is too long: MQTT allows 65,535`);
  }
  return Buffer.concat([uint16(bytes.length), bytes]);
}

function uint16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff]);
}

function uint16At(body: Buffer, offset: number): number {
  return (byteAt(body, offset) << 8) | byteAt(body, offset + 1);
}

function byteAt(body: Buffer, offset: number): number {
  const byte = body[offset];
  if (byte === undefined) {
    throw new PacketError("the broker sent a packet that is cut short");
  }
  return byte;
}
