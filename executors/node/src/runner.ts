/** Runs jobs side by side: each once, and each ends with a `BlockFinished`. */

import { BlockContext, KEEP_ALIVE } from "./context.js";
import { describe } from "./errors.js";
import { Job, type JobInfo, type Workplace } from "./job.js";
import { currentJob, ExitSignal } from "./stdio.js";

/** Calls a block. */
export type Call = (context: BlockContext) => unknown;

/** The jobs of one process. */
export class Runner {
  /** Calls for a job are repeated when they seem to be lost. */
  readonly #seen = new Set<string>();
  readonly #running = new Map<string, Job>();
  readonly #workplace: Workplace;

  constructor(workplace: Workplace) {
    this.#workplace = workplace;
  }

  /** How many jobs have begun and not ended. */
  get running(): string[] {
    return [...this.#running.keys()];
  }

  /** Starts a job; `undefined` when it was started before. `load` runs while the inputs are on their way. */
  start(info: JobInfo, load: (job: Job) => Promise<Call>): Job | undefined {
    const { log } = this.#workplace;
    if (this.#seen.has(info.job_id)) {
      log.write(`job ${info.job_id} is known already`);
      return undefined;
    }
    this.#seen.add(info.job_id);
    const job = new Job(this.#workplace, info);
    this.#running.set(job.id, job);
    job.onFinished(() => this.#running.delete(job.id));
    log.write(`job ${job.id} begins`);
    void currentJob.run(job, () => this.#run(job, load));
    return job;
  }

  /** Deals with an error that nothing has caught; false when it belongs to no job. */
  uncaught(error: unknown): boolean {
    if (error instanceof ExitSignal) {
      return true;
    }
    const job = currentJob.getStore();
    job?.onUncaught(error);
    return job !== undefined;
  }

  /** Ends all jobs with an error. */
  failAll(error: unknown): void {
    for (const job of [...this.#running.values()]) {
      job.finish({ error }).catch(() => undefined);
    }
  }

  async #run(job: Job, load: (job: Job) => Promise<Call>): Promise<void> {
    try {
      const beginning = job.begin();
      const loading = load(job);
      // A block that cannot be loaded fails once its job has begun, as the engine expects it.
      loading.catch(() => undefined);
      const context = await beginning;
      const call = await loading;
      job.endWith(await call(context), KEEP_ALIVE);
    } catch (error) {
      if (!(error instanceof ExitSignal)) {
        this.#fail(job, error);
      }
    }
  }

  #fail(job: Job, error: unknown): void {
    this.#workplace.log.write(`job ${job.id}: ${describe(error)}`);
    job.onUncaught(error);
  }
}
