/**
 * A client of an MQTT 3.1.1 broker: as much as an executor needs, and nothing that takes time at its start.
 *
 * It publishes with QoS 1, in order, and does not reconnect: the other side of a session is one runner, and when its
 * broker is gone the session is over. It sends no PINGREQ (keep-alive 0), because a block that computes for minutes
 * would keep it from doing so and lose the session; the death of the broker is seen by the end of the connection.
 */

import { connect as openSocket, type Socket } from "node:net";

import { deferred } from "../deferred.js";
import * as packet from "./packet.js";
import { PacketStream } from "./stream.js";

/** Called with the payload of every message to a topic. */
export type Listener = (payload: Buffer) => void;

/** What a client is told about its connection. */
export interface ClientOptions {
  host: string;
  port: number;
  clientId: string;
  /** The connection ended, and not by `end`. Called once. */
  onLost: (reason: Error) => void;
}

/** Reasons of a CONNACK (MQTT 3.1.1, table 3.1). */
const REFUSALS = [
  "",
  "protocol version",
  "client identifier",
  "server unavailable",
  "user name or password",
  "not authorised",
];
/** SUBACK: the subscription was not granted. */
const NOT_GRANTED = 0x80;
const LOST_BY_END = new Error("the connection was ended");

/** A connection to a broker. */
export class MqttClient {
  readonly #socket: Socket;
  readonly #listeners = new Map<string, Listener>();
  /** What waits for an answer, by packet identifier. */
  readonly #waiting = new Map<number, { done: (code: number) => void; failed: (reason: Error) => void }>();
  readonly #connected = deferred<void>();
  #lost: Error | undefined;
  #drained: Promise<void> | undefined;
  #nextId = 0;

  constructor(private readonly options: ClientOptions) {
    this.#socket = openSocket({ host: options.host, port: options.port, noDelay: true, keepAlive: true });
    this.#socket.write(packet.connect(options.clientId, 0));
    const stream = new PacketStream((received) => this.#receive(received));
    this.#socket.on("data", (chunk) => {
      try {
        stream.push(chunk);
      } catch (error) {
        if (!(error instanceof packet.PacketError)) {
          throw error;
        }
        this.#lose(error);
      }
    });
    this.#socket.on("error", (error) => this.#lose(error));
    this.#socket.on("close", () => this.#lose(new Error("the broker closed the connection")));
  }

  /** Resolves when the broker has accepted the connection. */
  connected(): Promise<void> {
    return this.#connected.promise;
  }

  /** Listens to a topic. Resolves when the broker has granted it. May be called before the connection stands. */
  async subscribe(topic: string, listener: Listener): Promise<void> {
    this.#listeners.set(topic, listener);
    const code = await this.#ask((id) => packet.subscribe(id, topic, 1));
    if (code === NOT_GRANTED) {
      throw new Error(`the broker does not grant a subscription to \`${topic}\``);
    }
  }

  /** Stops listening to a topic. */
  async unsubscribe(topic: string): Promise<void> {
    this.#listeners.delete(topic);
    await this.#ask((id) => packet.unsubscribe(id, topic));
  }

  /**
   * Sends a message. The order of calls is the order of messages. Resolves when there is room for more; throws when
   * the message is larger than MQTT allows. Once the connection is lost, messages are too: `onLost` says so, once.
   */
  publish(topic: string, payload: Buffer): Promise<void> {
    if (this.#lost !== undefined) {
      return Promise.resolve();
    }
    const header = packet.publishHeader(this.#takeId(), topic, payload.length);
    this.#socket.cork();
    this.#socket.write(header);
    const roomy = this.#socket.write(payload);
    this.#socket.uncork();
    return roomy ? Promise.resolve() : this.#drain();
  }

  /** Bytes that were published and wait in this process. */
  get backlog(): number {
    return this.#socket.writableLength;
  }

  /** Resolves when all that was published has been handed to the system. */
  flush(): Promise<void> {
    return new Promise((done) => {
      if (this.#lost !== undefined) {
        done();
        return;
      }
      this.#socket.write(Buffer.alloc(0), () => done());
    });
  }

  /** Ends the connection after all that was published. */
  async end(): Promise<void> {
    if (this.#lost !== undefined) {
      return;
    }
    this.#lost = LOST_BY_END;
    await new Promise<void>((done) => {
      this.#socket.once("close", () => done());
      this.#socket.end(packet.disconnect());
      // The broker answers by closing; what it still had to say is of no interest.
      this.#socket.resume();
    });
  }

  #receive(received: packet.Packet): void {
    switch (received.type) {
      case "publish":
        if (received.qos === 1) {
          this.#socket.write(packet.puback(received.id));
        }
        this.#listeners.get(received.topic)?.(received.payload);
        break;
      case "suback":
        this.#answer(received.id, received.code);
        break;
      case "unsuback":
        this.#answer(received.id, 0);
        break;
      case "connack":
        this.#connack(received.code);
        break;
      case "puback":
      case "pingresp":
        break;
    }
  }

  #connack(code: number): void {
    if (code === 0) {
      this.#connected.resolve();
      return;
    }
    this.#lose(new Error(`the broker refuses the connection: ${REFUSALS[code] ?? `code ${code}`}`));
  }

  #ask(make: (id: number) => Buffer): Promise<number> {
    return new Promise((done, failed) => {
      if (this.#lost !== undefined) {
        failed(this.#lost);
        return;
      }
      const id = this.#takeId();
      this.#waiting.set(id, { done, failed });
      this.#socket.write(make(id));
    });
  }

  #answer(id: number, code: number): void {
    this.#waiting.get(id)?.done(code);
    this.#waiting.delete(id);
  }

  /** The next packet identifier, 1 to 65,535, that no question is waiting with. */
  #takeId(): number {
    do {
      this.#nextId = (this.#nextId % 0xffff) + 1;
    } while (this.#waiting.has(this.#nextId));
    return this.#nextId;
  }

  #drain(): Promise<void> {
    this.#drained ??= new Promise((done) => {
      const roomy = (): void => {
        this.#drained = undefined;
        done();
      };
      this.#socket.once("drain", roomy).once("close", roomy);
    });
    return this.#drained;
  }

  #lose(reason: Error): void {
    if (this.#lost !== undefined) {
      return;
    }
    this.#lost = reason;
    this.#socket.destroy();
    this.#connected.reject(reason);
    for (const { failed } of this.#waiting.values()) {
      failed(reason);
    }
    this.#waiting.clear();
    this.options.onLost(reason);
  }
}
