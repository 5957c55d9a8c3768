/** As much of an engine as the executor needs on its other side: it starts executors and runs single blocks. */

import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { type Message, parseMessage, topics } from "../../src/messages.js";
import { MqttClient } from "../../src/mqtt/client.js";
import { type Broker, ended, startBroker } from "./broker.js";

/** The folder with the blocks of the tests, in source. */
export const BLOCKS = join(__dirname, "../../../test/blocks");
/** The program under test. */
export const PROGRAM = join(__dirname, "../../../bin/nodejs-executor");

/** A call for a block. */
export interface Call {
  entry?: string;
  function?: string;
  source?: string;
  dir?: string;
  identifier?: string;
  jobId?: string;
  nodeId?: string;
  inputs?: Record<string, unknown> | null;
  inputsDef?: Record<string, unknown>;
  patch?: Record<string, unknown>;
  /** Names of outputs, or their definitions. */
  outputs?: string[] | Record<string, unknown> | null;
}

/** What a job has said. */
export interface Outcome {
  jobId: string;
  /** On the topic of the session. */
  sent: Message[];
  /** On `report`. */
  reported: Message[];
  finished: Message;
}

/** A running executor. */
export interface Executor {
  process: ChildProcess;
  ready: Message;
  output: () => string;
}

/** The stand-in for an engine, with a broker of its own. */
export class Engine {
  readonly sessionId: string = randomUUID();
  readonly folder = mkdtempSync(join(tmpdir(), "oocana-node-"));
  readonly home = this.folder;
  readonly sent: Message[] = [];
  readonly reported: Message[] = [];
  /** Answers requests of blocks; what it returns goes into the response. */
  onRequest: (request: Message) => object | undefined = () => undefined;
  readonly #arrived = new EventEmitter().setMaxListeners(0);
  readonly #inputs = new Map<string, Message>();
  readonly #children: ChildProcess[] = [];

  private constructor(
    readonly broker: Broker,
    readonly client: MqttClient,
  ) {}

  static async start(): Promise<Engine> {
    const broker = await startBroker();
    const client = new MqttClient({
      host: "127.0.0.1",
      port: broker.port,
      clientId: "engine",
      onLost: () => undefined,
    });
    const engine = new Engine(broker, client);
    await client.connected();
    await client.subscribe(topics.session(engine.sessionId), (payload) => engine.#onSession(payload));
    await client.subscribe(topics.report, (payload) => engine.#onReport(payload));
    return engine;
  }

  /** Starts an executor and waits until it is ready. */
  async spawn(identifier?: string, env: NodeJS.ProcessEnv = {}, more: string[] = []): Promise<Executor> {
    const words = ["--session-id", this.sessionId, "--address", `127.0.0.1:${this.broker.port}`];
    words.push("--session-dir", join(this.folder, "session"), "--tmp-dir", join(this.folder, "tmp"));
    words.push(...(identifier === undefined ? [] : ["--identifier", identifier]), "--unknown-option", "x");
    words.push(...more, "--package", BLOCKS);
    const child = spawn(process.execPath, [PROGRAM, ...words], {
      env: { ...process.env, HOME: this.home, IS_FORKED: "1", OOCANA_PKG_DIR: join(this.folder, "data"), ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#children.push(child);
    let output = "";
    child.stdout.on("data", (chunk) => (output += String(chunk)));
    child.stderr.on("data", (chunk) => (output += String(chunk)));
    const isReady = (message: Message): boolean =>
      message["type"] === "ExecutorReady" && message["identifier"] === identifier;
    const ready = await Promise.race([
      this.wait(isReady),
      once(child, "exit").then(() => Promise.reject(new Error(`the executor has ended:\n${output}`))),
    ]);
    return { process: child, ready, output: () => output };
  }

  /** Calls for a block and hands it its inputs; resolves when it has finished. */
  async run(call: Call): Promise<Outcome> {
    return this.outcome(this.call(call));
  }

  /** Calls for a block; gives the job's id. */
  call(call: Call): string {
    const jobId = call.jobId ?? randomUUID();
    const stacks = [{ flow_job_id: "flow-1", flow: "/flow.oo.yaml", node_id: call.nodeId ?? "node" }];
    const common = { session_id: this.sessionId, job_id: jobId, stacks };
    const { inputs = {}, inputsDef = {} } = call;
    this.#inputs.set(jobId, {
      type: "BlockInputs",
      ...common,
      block_path: join(BLOCKS, "task.oo.yaml"),
      inputs,
      inputs_def: Object.fromEntries(
        Object.entries(inputsDef).map(([handle, def]) => [handle, { handle, ...(def as object) }]),
      ),
      inputs_def_patch: call.patch ?? null,
    });
    this.publish(topics.runBlock, {
      type: "BlockPayload",
      ...common,
      executor_name: "nodejs",
      identifier: call.identifier,
      dir: call.dir ?? BLOCKS,
      executor: {
        name: "nodejs",
        options: { entry: call.entry, function: call.function, source: call.source, spawn: false },
      },
      outputs: definitions(call.outputs),
    });
    return jobId;
  }

  /** Calls for a block of a service. */
  async runService(
    block: string,
    executor: object,
    inputs: object,
    outputs: string[],
    identifier?: string,
  ): Promise<Outcome> {
    const jobId = randomUUID();
    const common = { session_id: this.sessionId, job_id: jobId, stacks: [] };
    this.#inputs.set(jobId, { type: "BlockInputs", ...common, inputs, inputs_def: null, inputs_def_patch: null });
    this.publish(topics.runServiceBlock, {
      type: "ServiceBlockPayload",
      ...common,
      executor_name: "nodejs",
      identifier,
      dir: BLOCKS,
      block_name: block,
      service_executor: { name: "nodejs", keep_alive: null, ...executor },
      service_hash: "0123456789abcdef",
      outputs: definitions(outputs),
    });
    return this.outcome(jobId);
  }

  /** Resolves when a job has finished and all that it reported before has arrived. */
  async outcome(jobId: string): Promise<Outcome> {
    const isOfJob = (message: Message): boolean => message["job_id"] === jobId;
    const finished = await this.wait((message) => isOfJob(message) && message["type"] === "BlockFinished");
    return { jobId, finished, sent: this.sent.filter(isOfJob), reported: this.reported.filter(isOfJob) };
  }

  /** The first message of the session, sent or still to come, that is as wanted. */
  wait(isWanted: (message: Message) => boolean): Promise<Message> {
    return this.#waitIn(this.sent, "sent", isWanted);
  }

  /** The same on `report`. */
  waitReport(isWanted: (message: Message) => boolean): Promise<Message> {
    return this.#waitIn(this.reported, "reported", isWanted);
  }

  publish(topic: string, message: object): void {
    void this.client.publish(topic, Buffer.from(JSON.stringify(message)));
  }

  finishSession(sessionId: string = this.sessionId): void {
    this.publish(topics.report, { type: "SessionFinished", session_id: sessionId, finish_at: 1, path: "x" });
  }

  async stop(): Promise<void> {
    await Promise.all(this.#children.map((child) => ended(child, "SIGKILL")));
    await this.client.end();
    await this.broker.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  #waitIn(messages: Message[], event: string, isWanted: (message: Message) => boolean): Promise<Message> {
    const found = messages.find(isWanted);
    if (found !== undefined) {
      return Promise.resolve(found);
    }
    return new Promise((resolve) => {
      const listener = (message: Message): void => {
        if (isWanted(message)) {
          this.#arrived.off(event, listener);
          resolve(message);
        }
      };
      this.#arrived.on(event, listener);
    });
  }

  #onSession(payload: Buffer): void {
    const message = parseMessage(payload) ?? {};
    this.sent.push(message);
    const inputs = message["type"] === "BlockReady" ? this.#inputs.get(String(message["job_id"])) : undefined;
    if (inputs !== undefined) {
      this.publish(topics.inputs(this.sessionId, String(message["job_id"])), inputs);
    }
    if (message["type"] === "BlockRequest") {
      const { session_id, job_id, request_id } = message;
      const answer = this.onRequest(message);
      if (answer !== undefined) {
        this.publish(topics.response(this.sessionId, String(request_id)), {
          session_id,
          job_id,
          request_id,
          ...answer,
        });
      }
    }
    this.#arrived.emit("sent", message);
  }

  #onReport(payload: Buffer): void {
    const message = parseMessage(payload) ?? {};
    this.reported.push(message);
    this.#arrived.emit("reported", message);
  }
}

function definitions(outputs: Call["outputs"]): Record<string, unknown> | null {
  const named = Array.isArray(outputs) ? Object.fromEntries(outputs.map((handle) => [handle, {}])) : outputs;
  if (named === undefined || named === null) {
    return null;
  }
  return Object.fromEntries(Object.entries(named).map(([handle, def]) => [handle, { handle, ...(def as object) }]));
}

/** Messages of one type. */
export function ofType(messages: Message[], type: string): Message[] {
  return messages.filter((message) => message["type"] === type);
}
