/** What blocks write to standard output and error goes to the log of their job. */

import { AsyncLocalStorage } from "node:async_hooks";

/** What is asked of a job by code that runs on its behalf. */
export interface JobScope {
  /** Text that the job wrote. */
  onWrite(text: string, stdio: "stdout" | "stderr"): void;
  /** The job ends with an error that nothing in it caught. */
  onUncaught(error: unknown): void;
  /** The job called `process.exit`. */
  onExit(code: number): void;
}

/** The job that the running code belongs to. */
export const currentJob = new AsyncLocalStorage<JobScope>();

/** Thrown to leave a block that called `process.exit`; its job is over by then. */
export class ExitSignal extends Error {
  override readonly name = "ExitSignal";
}

const exitNode = process.exit.bind(process);

/** Ends the process, whoever asks. */
export function exitProcess(code: number): never {
  return exitNode(code);
}

/** Makes writes and exits of jobs known to them. Anything outside of a job is left alone. */
export function watchJobs(): void {
  for (const [stream, stdio] of [
    [process.stdout, "stdout"],
    [process.stderr, "stderr"],
  ] as const) {
    watchWrites(stream, stdio);
    // Who read it has gone; that is seen elsewhere.
    stream.on("error", () => undefined);
  }
  process.exit = (code) => {
    const job = currentJob.getStore();
    if (job === undefined) {
      return exitNode(code);
    }
    job.onExit(Number(code ?? process.exitCode ?? 0));
    throw new ExitSignal("the block called process.exit");
  };
}

type Write = NodeJS.WriteStream["write"];

function watchWrites(stream: NodeJS.WriteStream, stdio: "stdout" | "stderr"): void {
  const write: Write = stream.write.bind(stream);
  const watched = (chunk: Uint8Array | string, ...rest: unknown[]): boolean => {
    const job = currentJob.getStore();
    if (job === undefined) {
      return Reflect.apply(write, stream, [chunk, ...rest]) as boolean;
    }
    const text = typeof chunk === "string" ? chunk : Buffer.from(chunk).toString("utf8");
    job.onWrite(text.replace(/\n$/, ""), stdio);
    const callback = rest.at(-1);
    if (typeof callback === "function") {
      process.nextTick(callback);
    }
    return true;
  };
  stream.write = watched as Write;
}
