/** Blocks that a block runs: their outputs and their end are seen on `report`. */

import { AsyncResource } from "node:async_hooks";
import { randomUUID } from "node:crypto";

import type { BlockJob, EventListener, EventValues, PreviewPayload, RunBlockPayload } from "@oomol/oocana-sdk";

import { deferred } from "./deferred.js";
import type { Job } from "./job.js";
import { isObject, type Message } from "./messages.js";

type Outputs = Record<string, unknown>;

/** Listeners to one kind of event. What they write and throw belongs to the job that they listen for. */
class Listeners<T> {
  readonly #listeners = new Set<(value: T) => void>();

  constructor(private readonly job: Job) {}

  readonly on: EventListener<T> = (listener) => {
    const bound = AsyncResource.bind(listener);
    this.#listeners.add(bound);
    return () => this.#listeners.delete(bound);
  };

  emit(value: T): void {
    for (const listener of this.#listeners) {
      try {
        listener(value);
      } catch (error) {
        this.job.onUncaught(error);
      }
    }
  }

  clear(): void {
    this.#listeners.clear();
  }
}

/** A block that was started by another. */
class StartedBlock {
  readonly blockJobId = randomUUID();
  readonly outputs: Listeners<Outputs>;
  readonly progress: Listeners<number>;
  readonly previews: Listeners<PreviewPayload>;
  readonly messages: Listeners<unknown>;
  readonly #result: Outputs = {};
  readonly #end = deferred<{ result: Outputs }>();

  constructor(private readonly caller: Job) {
    this.outputs = new Listeners(caller);
    this.progress = new Listeners(caller);
    this.previews = new Listeners(caller);
    this.messages = new Listeners(caller);
    // A caller that does not ask how the block ended is not ended by it.
    this.end.catch((reason) => caller.workplace.log.write(`block run by job ${caller.id}: ${reason}`));
  }

  /** How the block ends. */
  get end(): Promise<{ result: Outputs }> {
    return this.#end.promise;
  }

  /** Asks the engine to run the block. Its success is not answered; what answers is an error. */
  start(block: string, payload: RunBlockPayload, strict: boolean): void {
    const { workplace, sessionId: session_id, id: job_id, stacks } = this.caller;
    workplace.bus.watch(this.blockJobId, (message) => this.#observe(message));
    const request = { action: "RunBlock", session_id, job_id, stacks, block, block_job_id: this.blockJobId, strict };
    const asked = workplace.bus.request(
      { ...request, payload: { ...payload, inputs: payload.inputs ?? {} } },
      this.end,
    );
    asked.catch((reason: Error) => this.#fail(new Error(`cannot run block \`${block}\`: ${reason.message}`)));
  }

  dispose(): void {
    this.caller.workplace.bus.unwatch(this.blockJobId);
    for (const listeners of [this.outputs, this.progress, this.previews, this.messages]) {
      listeners.clear();
    }
  }

  #observe(message: Message): void {
    switch (message["type"]) {
      case "BlockOutput":
      case "SubflowBlockOutput":
      case "SlotflowOutput":
        this.#emitOutputs({ [String(message["handle"])]: message["output"] });
        break;
      case "BlockOutputs":
        this.#emitOutputs(message["outputs"]);
        break;
      case "BlockProgress":
        this.progress.emit(Number(message["progress"]));
        break;
      case "BlockPreview":
        this.previews.emit(message["payload"] as PreviewPayload);
        break;
      case "BlockMessage":
        this.messages.emit(message["payload"]);
        break;
      case "BlockFinished":
      case "SubflowBlockFinished":
      case "SlotflowFinished":
        this.#finish(message);
        break;
    }
  }

  #emitOutputs(outputs: unknown): void {
    if (isObject(outputs)) {
      const { values } = this.caller.workplace;
      for (const [handle, value] of Object.entries(outputs)) {
        outputs[handle] = values.unpack(value, handle, (text) => void this.caller.warn(text));
      }
      Object.assign(this.#result, outputs);
      this.outputs.emit(outputs);
    }
  }

  #finish(message: Message): void {
    const error = message["error"];
    if (error !== undefined && error !== null) {
      this.#fail(new Error(String(error)));
      return;
    }
    this.#emitOutputs(message["result"]);
    this.progress.emit(100);
    this.#end.resolve({ result: this.#result });
    this.dispose();
  }

  #fail(reason: Error): void {
    this.#end.reject(reason);
    this.dispose();
  }
}

/** Starts a block on behalf of a job. */
export function startBlock<T extends Outputs>(
  caller: Job,
  block: string,
  payload: RunBlockPayload,
  strict: boolean,
): BlockJob<T> {
  const started = new StartedBlock(caller);
  started.start(block, payload, strict);
  const onOutput = (wanted: string | ((outputs: Outputs) => void)): unknown => {
    if (typeof wanted === "function") {
      return started.outputs.on(wanted);
    }
    const ofHandle: EventListener = (listener) =>
      started.outputs.on((outputs) => {
        if (Object.hasOwn(outputs, wanted)) {
          listener(outputs[wanted]);
        }
      });
    return ofHandle;
  };
  return {
    blockJobId: started.blockJobId,
    onOutput: onOutput as BlockJob<T>["onOutput"],
    onProgress: started.progress.on,
    onPreview: started.previews.on,
    onMessage: started.messages.on,
    finish: () => started.end as Promise<{ result: Partial<T> }>,
    dispose: () => started.dispose(),
  };
}

/** Calls back with one value of each listener, paired in the order of their arrival. */
export function joinOutputs<T extends EventListener[]>(...listeners: T): EventListener<EventValues<T>> {
  return (callback) => {
    const queues: unknown[][] = listeners.map(() => []);
    const ends = listeners.map((listen, index) =>
      listen((value: unknown) => {
        queues[index]?.push(value);
        if (queues.every((queue) => queue.length > 0)) {
          callback(queues.map((queue) => queue.shift()) as EventValues<T>);
        }
      }),
    );
    return () => ends.forEach((end) => end());
  };
}
