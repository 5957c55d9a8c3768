/**
 * One job: from the engine's call for it to its `BlockFinished`, which is sent once, whatever happens.
 *
 * All messages of a job are sent synchronously, so that they leave in the order in which the block made them.
 */

import { inspect } from "node:util";

import type { BlockJobStackLevel, HandlesDef, OutputTarget } from "@oomol/oocana-sdk";

import type { Bus } from "./bus.js";
import { BlockContext } from "./context.js";
import { describe } from "./errors.js";
import type { Log } from "./log.js";
import { type BlockInputs, isObject, type Message, parseMessage, topics } from "./messages.js";
import { Progress } from "./progress.js";
import { mayHoldSecrets, resolveCredentials, resolveSecrets } from "./secrets.js";
import type { JobScope } from "./stdio.js";
import { cut } from "./text.js";
import type { ValueStore } from "./values.js";

/** Characters of one line in the log of a job. */
const MAX_LOG = 256 * 1024;
/** Bytes that wait to be sent, beyond which lines of logs are counted instead. Outputs are never dropped. */
const MAX_LOG_BACKLOG = 16 * 1024 * 1024;

/** What all jobs of a process share. */
export interface Workplace {
  readonly bus: Bus;
  readonly log: Log;
  readonly values: ValueStore;
  readonly sessionDir: string;
  readonly tmpDir: string;
  readonly packageName: string;
  readonly packageDataDir: string;
  /** What nodes keep from job to job, by flow job and node. */
  readonly nodeStores: Map<string, Record<string, unknown>>;
}

/** What the engine says of a job when it calls for it. */
export interface JobInfo {
  session_id: string;
  job_id: string;
  stacks?: BlockJobStackLevel[];
  outputs?: HandlesDef | null;
}

/** How a job ends. */
export interface JobEnd {
  result?: Record<string, unknown>;
  error?: unknown;
}

/** One job. */
export class Job implements JobScope {
  readonly sessionId: string;
  readonly id: string;
  readonly outputsDef: HandlesDef;
  stacks: readonly BlockJobStackLevel[];
  blockPath: string | undefined;
  readonly progress = new Progress((value) => this.#sendProgress(value));
  #finished = false;
  #droppedLogs = 0;
  readonly #onFinished: Array<() => void> = [];

  constructor(
    readonly workplace: Workplace,
    info: JobInfo,
  ) {
    this.sessionId = info.session_id;
    this.id = info.job_id;
    this.stacks = info.stacks ?? [];
    this.outputsDef = Object.freeze(info.outputs ?? {});
  }

  /** Whether `BlockFinished` has been sent. */
  get isFinished(): boolean {
    return this.#finished;
  }

  /** Calls back when the job is over. */
  onFinished(listener: () => void): void {
    this.#onFinished.push(listener);
  }

  /** Says that the job can begin, waits for its inputs and makes its context. */
  async begin(): Promise<BlockContext> {
    const payload = await this.#receiveInputs();
    const message = parseMessage(payload);
    if (message === undefined) {
      throw new Error("the inputs of this job are not a JSON object");
    }
    const received = readInputs(message);
    this.stacks = Object.freeze(received.stacks);
    this.blockPath = received.block_path ?? undefined;
    const warn = (text: string): void => void this.warn(text);
    if (mayHoldSecrets(payload)) {
      resolveSecrets(received, warn);
    }
    const inputs = received.inputs ?? {};
    resolveCredentials(inputs, received.inputs_def);
    for (const [handle, value] of Object.entries(inputs)) {
      inputs[handle] = this.workplace.values.unpack(value, handle, warn);
    }
    return new BlockContext(this, Object.freeze(inputs), received.inputs_def ?? {});
  }

  /** Ends the job with what its function has returned. */
  endWith(returned: unknown, keepAlive: symbol): void {
    if (returned === undefined) {
      this.finish();
    } else if (typeof returned === "object" && returned !== null) {
      this.finish({ result: returned as Record<string, unknown> });
    } else if (returned !== keepAlive) {
      const shown = cut(inspect(returned), 1024);
      this.finish({ error: new TypeError(`a block must return an object of outputs or nothing, not ${shown}`) });
    }
  }

  /** Ends the job; only the first call counts. */
  finish(end: JobEnd = {}): Promise<void> {
    if (this.#finished) {
      this.workplace.log.write(`job ${this.id} ended again; that is left out`);
      return Promise.resolve();
    }
    this.progress.end();
    this.#sayWhatWasDropped();
    const sent = this.#sendFinished(end);
    this.#finished = true;
    this.workplace.log.write(`job ${this.id} ${end.error == null ? "finished" : "failed"}`);
    this.#onFinished.forEach((listener) => listener());
    return sent;
  }

  /** Sends one output. */
  output(handle: string, value: unknown, target: OutputTarget): Promise<void> {
    if (!this.#isDefined(handle)) {
      return this.#warnOfUndefined(handle);
    }
    const { to_node, to_flow } = target;
    return this.send({
      type: "BlockOutput",
      handle,
      output: this.#pack(handle, value) ?? null,
      ...((to_node ?? to_flow) ? { options: { target: { to_node, to_flow } } } : {}),
    });
  }

  /** Sends several outputs in one message. */
  outputs(values: Record<string, unknown>): Promise<void> {
    return this.send({ type: "BlockOutputs", outputs: this.#packAll(values) });
  }

  /** Sends a message of this job to the engine. After the end of the job nothing is sent. */
  send(message: Message): Promise<void> {
    if (this.#finished) {
      this.workplace.log.write(`job ${this.id} has ended; its ${String(message["type"])} is left out`);
      return Promise.resolve();
    }
    const topic = topics.session(this.sessionId);
    return this.workplace.bus.send(topic, { session_id: this.sessionId, job_id: this.id, ...message });
  }

  /** Sends a message about this job to all who watch the session. */
  report(message: Message): Promise<void> {
    const { sessionId: session_id, id: job_id, stacks, blockPath: block_path } = this;
    return this.workplace.bus.send(topics.report, { session_id, job_id, stacks, block_path, ...message });
  }

  /** Shows a warning. */
  warn(warning: string): Promise<void> {
    return this.report({ type: "BlockWarning", warning: cut(warning, MAX_LOG) });
  }

  /** Shows a line of the job's output. */
  writeLog(text: string, stdio: "stdout" | "stderr"): Promise<void> {
    if (this.workplace.bus.client.backlog > MAX_LOG_BACKLOG) {
      this.#droppedLogs += 1;
      return Promise.resolve();
    }
    this.#sayWhatWasDropped();
    return this.report({ type: "BlockLog", log: cut(text, MAX_LOG), stdio });
  }

  onWrite(text: string, stdio: "stdout" | "stderr"): void {
    this.writeLog(text, stdio).catch(() => undefined);
  }

  onUncaught(error: unknown): void {
    if (this.#finished) {
      this.onWrite(`after the end of the block: ${describe(error)}`, "stderr");
    } else {
      this.finish({ error }).catch(() => undefined);
    }
  }

  onExit(code: number): void {
    if (!this.#finished) {
      const end = code === 0 ? {} : { error: new Error(`the block called process.exit(${code})`) };
      this.finish(end).catch(() => undefined);
    }
  }

  #receiveInputs(): Promise<Buffer> {
    const { client } = this.workplace.bus;
    const topic = topics.inputs(this.sessionId, this.id);
    return new Promise((resolve, reject) => {
      const granted = client.subscribe(topic, (payload) => {
        client.unsubscribe(topic).catch(() => undefined);
        resolve(payload);
      });
      granted.then(() => this.send({ type: "BlockReady" })).catch(reject);
    });
  }

  #sendFinished({ result, error }: JobEnd): Promise<void> {
    try {
      if (error === undefined || error === null) {
        return this.send({ type: "BlockFinished", ...(isObjectLike(result) ? { result: this.#packAll(result) } : {}) });
      }
      return this.send({ type: "BlockFinished", error: describe(error) });
    } catch (failure) {
      return this.send({ type: "BlockFinished", error: describe(failure) });
    }
  }

  #sendProgress(progress: number): void {
    const message = { type: "BlockProgress", progress };
    void this.send(message);
    void this.report(message);
  }

  #packAll(values: Record<string, unknown>): Record<string, unknown> {
    const packed: Record<string, unknown> = {};
    for (const [handle, value] of Object.entries(values)) {
      if (this.#isDefined(handle)) {
        packed[handle] = this.#pack(handle, value);
      } else {
        void this.#warnOfUndefined(handle);
      }
    }
    return packed;
  }

  #pack(handle: string, value: unknown): unknown {
    const { values, sessionDir } = this.workplace;
    return values.pack(value, handle, this.outputsDef, { sessionId: this.sessionId, sessionDir, jobId: this.id });
  }

  #isDefined(handle: string): boolean {
    return Object.hasOwn(this.outputsDef, handle);
  }

  /** Tools that watch sessions know this sentence. */
  #warnOfUndefined(handle: string): Promise<void> {
    return this.warn(`Output handle key: [${handle}] is not defined in Block outputs schema.`);
  }

  #sayWhatWasDropped(): void {
    const dropped = this.#droppedLogs;
    this.#droppedLogs = 0;
    if (dropped > 0) {
      const log = `[${dropped} lines are missing here: the block wrote faster than they could be sent]`;
      void this.report({ type: "BlockLog", log, stdio: "stderr" });
    }
  }
}

/** Reads the message with a job's inputs. */
function readInputs(message: Message): BlockInputs {
  const { inputs, inputs_def, inputs_def_patch, stacks, block_path } = message;
  const optional = (value: unknown, name: string): Record<string, unknown> | null => {
    if (value === undefined || value === null || isObject(value)) {
      return value ?? null;
    }
    throw new Error(`\`${name}\` of the inputs of this job is not an object`);
  };
  return {
    block_path: typeof block_path === "string" ? block_path : null,
    stacks: Array.isArray(stacks) ? stacks : [],
    inputs: optional(inputs, "inputs"),
    inputs_def: optional(inputs_def, "inputs_def") as HandlesDef | null,
    inputs_def_patch: optional(inputs_def_patch, "inputs_def_patch") as BlockInputs["inputs_def_patch"] & object,
  };
}

function isObjectLike(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
