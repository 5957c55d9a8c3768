/** The program of one service process. It is started by an executor and told what to do over the broker. */

import type { ServiceContext, ServiceMessage } from "@oomol/oocana-sdk";

import { type ServiceArgs, serviceArgs } from "./args.js";
import { Bus } from "./bus.js";
import type { BlockContext } from "./context.js";
import { deferred } from "./deferred.js";
import { toError } from "./errors.js";
import { loadService } from "./loader.js";
import { openLog } from "./log.js";
import {
  EXECUTOR,
  isRunServiceBlock,
  type Message,
  type RunServiceBlock,
  type ServiceTopic,
  topics,
} from "./messages.js";
import { Ending, main, tieLives, watchOver, workplace } from "./program.js";
import { Runner } from "./runner.js";
import { stopAt } from "./services.js";

/** How often a service says that it is there, in milliseconds. */
const STATUS_MS = 5000;
/** How long a service that ends with its blocks waits for another one, in seconds. */
const KEEP_ALIVE_S = 10;

/** One service. */
class Service implements ServiceContext {
  blockHandler: ServiceContext["blockHandler"];
  readonly #listeners = new Set<(message: ServiceMessage) => void>();
  /** All jobs that this service has had. */
  readonly #jobs = new Set<string>();
  readonly #started = deferred<void>();
  #isConfigured = false;
  #idle: NodeJS.Timeout | undefined;

  readonly events = {
    on: (event: "message", listener: (message: ServiceMessage) => void): (() => void) => {
      if (event !== "message") {
        throw new RangeError(`a service has no event \`${String(event)}\``);
      }
      this.#listeners.add(listener);
      return () => this.#listeners.delete(listener);
    },
  };

  constructor(
    private readonly runner: Runner,
    private readonly onIdle: () => void,
  ) {}

  /** Runs the service's own function with its first block, and then that block. */
  start(message: RunServiceBlock): void {
    if (this.#isConfigured) {
      this.runBlock(message);
      return;
    }
    this.#isConfigured = true;
    this.runBlock(message, async () => {
      try {
        const { entry, function: wanted } = message.service_executor;
        const begin = await loadService(message.dir, entry || "main.ts", wanted ?? undefined);
        await begin(this);
        this.#started.resolve();
      } catch (error) {
        this.#started.reject(toError(error));
      }
    });
  }

  /** Runs one block once the service has started. */
  runBlock(message: RunServiceBlock, before: () => Promise<void> = async () => undefined): void {
    const job = this.runner.start(message, async () => {
      await before();
      await this.#started.promise;
      return (context) => this.#call(message.block_name, context);
    });
    if (job === undefined) {
      return;
    }
    clearTimeout(this.#idle);
    this.#jobs.add(job.id);
    job.onFinished(() => {
      // A service that outlives its executor has nobody to tell.
      if (process.connected) {
        process.send?.({ finished: job.id });
      }
      this.#whenIdle(message);
    });
  }

  /** Passes on a message to one of this service's jobs. */
  receive(message: Message): void {
    if (this.#jobs.has(String(message["job_id"]))) {
      this.#listeners.forEach((listener) => listener(message as unknown as ServiceMessage));
    }
  }

  #call(block: string, context: BlockContext): unknown {
    const handler = this.blockHandler;
    if (typeof handler === "function") {
      return handler(block, context.inputs, context);
    }
    const call = handler !== undefined && Object.hasOwn(handler, block) ? handler[block] : undefined;
    if (typeof call !== "function") {
      throw new Error(`the service's \`blockHandler\` has no function \`${block}\``);
    }
    return call(context.inputs, context);
  }

  #whenIdle(message: RunServiceBlock): void {
    if (stopAt(message) === "block_end" && this.runner.running.length === 0) {
      this.#idle = setTimeout(this.onIdle, (message.service_executor.keep_alive ?? KEEP_ALIVE_S) * 1000);
    }
  }
}

async function serve(words: string[]): Promise<void> {
  const args = serviceArgs(words);
  const { sessionId, serviceHash, address } = args;
  const log = openLog(sessionId, `nodejs-${serviceHash}`);
  const ending = new Ending(log);
  const bus = new Bus({
    address,
    clientId: `nodejs-service-${serviceHash}-${process.pid}-${Date.now().toString(36)}`,
    sessionId,
    onLost: (reason) => ending.loudly(`the broker: ${reason.message}`),
    onSessionFinished: () => end("the session has finished"),
  });
  ending.bus = bus;
  const about = { service_hash: serviceHash, session_id: sessionId, executor: EXECUTOR };
  const end = (reason: string): void => {
    void bus.send(topics.serviceExit, about);
    ending.quietly(reason);
  };
  const runner = new Runner(workplace(bus, log, args));
  watchOver(runner, ending);
  await bus.client.connected();
  const service = new Service(runner, () => end("the last block has ended"));
  await listen(args, bus, service, end);
  const status = (): void => void bus.send(topics.serviceStatus, { ...about, runningBlocks: runner.running });
  setInterval(status, STATUS_MS).unref();
  status();
  await bus.send(topics.service(sessionId, serviceHash, "report/prepare"), {});
  if (sessionId !== undefined) {
    process.on("disconnect", () => end("the executor is gone"));
  }
  tieLives(ending, sessionId !== undefined);
}

async function listen(args: ServiceArgs, bus: Bus, service: Service, end: (reason: string) => void): Promise<void> {
  const topic = (name: ServiceTopic): string => topics.service(args.sessionId, args.serviceHash, name);
  const onBlock = (run: (message: RunServiceBlock) => void) => (message: Message) => {
    if (isRunServiceBlock(message)) {
      run(message);
    }
  };
  await Promise.all([
    bus.listen(
      topic("action/config"),
      onBlock((message) => {
        service.start(message);
        if (stopAt(message) === "app_end") {
          void bus.listen(topics.servicesShutdown, () => end("the application ends"));
        }
      }),
    ),
    bus.listen(
      topic("action/run"),
      onBlock((message) => service.runBlock(message)),
    ),
    bus.listen(topic("action/ping"), (message) => void bus.send(topic("report/pong"), message)),
    bus.listen(topic("action/shutdown"), () => end("it was told to")),
    bus.listen(topics.serviceMessage, (message) => service.receive(message)),
    // Reports end services of a session, and tell all of them of the blocks that theirs run.
    bus.listenToReports(),
  ]);
}

main(serve);
