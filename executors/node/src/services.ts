/**
 * Services as the executor sees them: processes that are started with their first block and keep their state for
 * further ones. Those that outlive sessions are found by asking for them.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";

import type { ExecutorArgs } from "./args.js";
import type { Bus } from "./bus.js";
import { describe } from "./errors.js";
import type { Log } from "./log.js";
import { type Message, type RunServiceBlock, type ServiceTopic, topics } from "./messages.js";
import { unmarked } from "./processes.js";

/** How long a service that outlives sessions is given to answer, in milliseconds. */
const PONG_MS = 1000;

/** One service. */
interface Service {
  hash: string;
  name: string;
  isGlobal: boolean;
  /** Calls that wait for the service; `undefined` once it takes them itself. */
  waiting: RunServiceBlock[] | undefined;
  /** Jobs that have not ended, of services that were started here. */
  jobs: Map<string, RunServiceBlock>;
}

/** The services that this executor knows. */
export class Services {
  readonly #services = new Map<string, Service>();
  /** Services of the session that another executor has started. */
  readonly #others = new Set<string>();

  constructor(
    private readonly bus: Bus,
    private readonly log: Log,
    private readonly args: ExecutorArgs,
  ) {}

  /** Hands a block to its service, which is started when there is none. */
  run(message: RunServiceBlock): void {
    const hash = message.service_hash;
    const known = this.#services.get(hash);
    if (known?.jobs.has(message.job_id)) {
      return;
    }
    const service = known ?? newService(message, this.#others.has(hash));
    service.jobs.set(message.job_id, message);
    if (service.waiting === undefined) {
      this.#send(service, "action/run", message);
    } else {
      service.waiting.push(message);
    }
    if (known === undefined) {
      this.#services.set(hash, service);
      if (service.waiting !== undefined) {
        this.#bring(service).catch((error: unknown) => this.#failed(service, describe(error)));
      }
    }
  }

  /** A service says that it is there. */
  onStatus({ service_hash: hash, session_id }: Message): void {
    if (typeof hash === "string" && session_id === this.args.sessionId && !this.#services.has(hash)) {
      this.#others.add(hash);
    }
  }

  /** A service says that it ends. */
  onExit({ service_hash: hash, session_id }: Message): void {
    if (typeof hash === "string" && (session_id ?? this.args.sessionId) === this.args.sessionId) {
      this.#others.delete(hash);
      this.#services.delete(hash);
    }
  }

  /** Finds a service or starts it. */
  async #bring(service: Service): Promise<void> {
    if (service.isGlobal && (await this.#answers(service))) {
      this.#handOver(service, "action/run");
      return;
    }
    const prepared = this.#topic(service, "report/prepare");
    await this.bus.listen(prepared, () => {
      this.bus.client.unsubscribe(prepared).catch(() => undefined);
      // The first block comes with the configuration.
      this.#handOver(service, "action/config");
    });
    this.#watch(service, this.#spawn(service));
  }

  async #answers(service: Service): Promise<boolean> {
    const pong = this.#topic(service, "report/pong");
    try {
      return await new Promise<boolean>((resolve, reject) => {
        this.bus
          .listen(pong, () => resolve(true))
          .then(() => {
            this.#send(service, "action/ping", {});
            setTimeout(() => resolve(false), PONG_MS);
          })
          .catch(reject);
      });
    } finally {
      this.bus.client.unsubscribe(pong).catch(() => undefined);
    }
  }

  #spawn(service: Service): ChildProcess {
    const { address, sessionId, sessionDir, tmpDir } = this.args;
    const options: Record<string, string | undefined> = {
      address: `${address.host}:${address.port}`,
      "session-dir": sessionDir,
      "tmp-dir": tmpDir,
      "service-hash": service.hash,
      "session-id": service.isGlobal ? undefined : sessionId,
      package: this.args.package,
    };
    const words = Object.entries(options).flatMap(([name, value]) =>
      value === undefined ? [] : [`--${name}=${value}`],
    );
    this.log.write(`starting service ${service.name} (${service.hash})`);
    return spawn(process.execPath, [join(__dirname, "service.js"), ...words], {
      detached: service.isGlobal,
      // A global service must not hang on to the pipes of an executor that is gone.
      stdio: ["ignore", service.isGlobal ? "ignore" : "inherit", service.isGlobal ? "ignore" : "inherit", "ipc"],
      env: service.isGlobal ? unmarked() : process.env,
    });
  }

  #watch(service: Service, child: ChildProcess): void {
    child.on("message", (message: { finished?: string }) => service.jobs.delete(message.finished ?? ""));
    child.on("error", (error) => this.#failed(service, `does not start: ${error.message}`));
    child.on("exit", (code, signal) => this.#failed(service, `ended with ${signal ?? `exit code ${code}`}`));
    child.unref();
  }

  /** Gives a service everything that has waited for it. */
  #handOver(service: Service, first: ServiceTopic): void {
    const waiting = service.waiting ?? [];
    service.waiting = undefined;
    waiting.forEach((message, index) => this.#send(service, index === 0 ? first : "action/run", message));
  }

  /** A service is gone: blocks that it has not finished end with it. */
  #failed(service: Service, how: string): void {
    this.log.write(`service ${service.name} (${service.hash}) ${how}`);
    if (this.#services.get(service.hash) === service) {
      this.#services.delete(service.hash);
    }
    for (const { session_id, job_id, block_name } of service.jobs.values()) {
      const error = `the service \`${service.name}\` ${how} before its block \`${block_name}\` had finished`;
      void this.bus.send(topics.session(session_id), { type: "BlockFinished", session_id, job_id, error });
    }
    service.jobs.clear();
  }

  #send(service: Service, topic: ServiceTopic, message: object): void {
    void this.bus.send(this.#topic(service, topic), { ...message });
  }

  #topic(service: Service, topic: ServiceTopic): string {
    return topics.service(service.isGlobal ? undefined : this.args.sessionId, service.hash, topic);
  }
}

/** `stop_at` as executors know it; engines differ in the case of `never`. */
export function stopAt(message: RunServiceBlock): string {
  return (message.service_executor.stop_at ?? "session_end").toLowerCase();
}

function newService(message: RunServiceBlock, isRunning: boolean): Service {
  return {
    hash: message.service_hash,
    name: message.service_executor.name ?? message.service_hash,
    isGlobal: ["app_end", "never"].includes(stopAt(message)),
    waiting: isRunning ? undefined : [],
    jobs: new Map(),
  };
}
