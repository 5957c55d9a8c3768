/** The session's messages: JSON over the broker, in the order in which they are sent. */

import { randomUUID } from "node:crypto";

import type { Address } from "./args.js";
import { type Message, parseMessage, topics } from "./messages.js";
import { MqttClient } from "./mqtt/client.js";

/** What is told of reports about one job. */
export type ReportWatcher = (message: Message) => void;

/** How this process is known and what it does at the end. */
export interface BusOptions {
  address: Address;
  clientId: string;
  /** `undefined`: of no session, as global services are. */
  sessionId: string | undefined;
  onLost: (reason: Error) => void;
  onSessionFinished: () => void;
}

/** The session's messages. */
export class Bus {
  readonly client: MqttClient;
  readonly #watchers = new Map<string, ReportWatcher>();

  constructor(private readonly options: BusOptions) {
    const { host, port } = options.address;
    this.client = new MqttClient({ host, port, clientId: options.clientId, onLost: options.onLost });
  }

  /** Listens to a topic; what is no JSON object is left out. Resolves when the broker has granted it. */
  listen(topic: string, listener: (message: Message) => void): Promise<void> {
    return this.client.subscribe(topic, (payload) => {
      const message = parseMessage(payload);
      if (message !== undefined) {
        listener(message);
      }
    });
  }

  /** Listens to reports. All values of the session pass there, so only what concerns this process is read. */
  listenToReports(): Promise<void> {
    return this.client.subscribe(topics.report, (payload) => {
      if (payload.includes('"SessionFinished"')) {
        this.#sessionFinished(parseMessage(payload));
      }
      for (const [jobId, watcher] of this.#watchers) {
        const message = payload.includes(jobId) ? parseMessage(payload) : undefined;
        if (message?.["job_id"] === jobId) {
          watcher(message);
        }
      }
    });
  }

  /** Tells what is reported about a job until `unwatch`. */
  watch(jobId: string, watcher: ReportWatcher): void {
    this.#watchers.set(jobId, watcher);
  }

  /** Stops telling. */
  unwatch(jobId: string): void {
    this.#watchers.delete(jobId);
  }

  /** Sends a message. Throws when it is no JSON or too large; resolves when there is room for more. */
  send(topic: string, message: Message): Promise<void> {
    return this.client.publish(topic, Buffer.from(JSON.stringify(message), "utf8"));
  }

  /**
   * Asks the engine. Rejects with what it answers as an error. Some requests are answered only when they fail;
   * `ended` then says when no answer is to be expected any more.
   */
  async request(message: Message & { session_id: string }, ended?: Promise<unknown>): Promise<unknown> {
    const requestId = randomUUID();
    const topic = topics.response(message.session_id, requestId);
    try {
      return await new Promise<unknown>((resolve, reject) => {
        const granted = this.listen(topic, (response) => {
          const error = response["error"];
          if (error !== undefined && error !== null) {
            reject(new Error(typeof error === "string" ? error : JSON.stringify(error)));
          } else if (ended === undefined) {
            resolve(response["result"]);
          }
        });
        const asked = granted.then(() => {
          const request = { type: "BlockRequest", request_id: requestId, ...message };
          return this.send(topics.session(message.session_id), request);
        });
        asked.catch(reject);
        ended?.then(resolve, resolve);
      });
    } finally {
      this.client.unsubscribe(topic).catch(() => undefined);
    }
  }

  #sessionFinished(message: Message | undefined): void {
    const { sessionId } = this.options;
    if (message?.["type"] === "SessionFinished" && sessionId !== undefined && message["session_id"] === sessionId) {
      this.options.onSessionFinished();
    }
  }
}
