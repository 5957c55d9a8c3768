/** What the executor and its service processes have in common: how they crash, lose their broker, and end. */

import { basename } from "node:path";

import { UsageError } from "./args.js";
import type { Bus } from "./bus.js";
import { describe } from "./errors.js";
import type { Workplace } from "./job.js";
import type { Log } from "./log.js";
import { endChildrenWithThis, watchParent } from "./processes.js";
import type { Runner } from "./runner.js";
import { exitProcess, watchJobs } from "./stdio.js";
import { ValueStore } from "./values.js";

/** Exit code for a command line that is not usable. */
const USAGE = 2;

/** How long the last messages may take, in milliseconds. */
const END_MS = 1000;

/** Ends the process once, with what is still to be sent. */
export class Ending {
  #begun = false;
  bus: Bus | undefined;

  constructor(private readonly log: Log) {}

  /** Ends with exit code 0. */
  quietly(reason: string): void {
    void this.#end(0, reason);
  }

  /** Ends with exit code 1 and says why where the engine reads it. */
  loudly(reason: string): void {
    if (!this.#begun) {
      process.stderr.write(`nodejs-executor: ${reason}\n`);
    }
    void this.#end(1, reason);
  }

  async #end(code: number, reason: string): Promise<void> {
    if (this.#begun) {
      return;
    }
    this.#begun = true;
    this.log.write(`${reason}; exit code ${code}`);
    // A broker that does not answer any more must not keep this process.
    setTimeout(() => exitProcess(code), END_MS);
    await this.bus?.client.end();
    exitProcess(code);
  }
}

/** What jobs share, from the command line and the environment. */
export function workplace(
  bus: Bus,
  log: Log,
  args: { sessionDir: string; tmpDir: string; package: string | undefined },
): Workplace {
  return {
    bus,
    log,
    values: new ValueStore(),
    sessionDir: args.sessionDir,
    tmpDir: args.tmpDir,
    packageName: args.package === undefined ? "workspace" : basename(args.package),
    packageDataDir: process.env["OOCANA_PKG_DIR"] ?? "",
    nodeStores: new Map(),
  };
}

/** Takes over what blocks write and throw. */
export function watchOver(runner: Runner, ending: Ending): void {
  // Maps traces of what was written in TypeScript, or was built with source maps, back to its source.
  process.setSourceMapsEnabled(true);
  watchJobs();
  const onCrash = (error: unknown): void => {
    if (!runner.uncaught(error)) {
      runner.failAll(error);
      ending.loudly(`an error that belongs to no block: ${describe(error)}`);
    }
  };
  process.on("uncaughtException", onCrash);
  process.on("unhandledRejection", onCrash);
}

/** Ties the life of this process to that of its parent, and those of its children to its own. */
export function tieLives(ending: Ending, dependsOnParent: boolean): void {
  endChildrenWithThis();
  if (dependsOnParent) {
    watchParent(() => ending.quietly("the process that started this one is gone"));
  }
}

/** Runs a program and says what is wrong with its start. */
export function main(program: (words: string[]) => Promise<void>): void {
  program(process.argv.slice(2)).catch((error: unknown) => {
    const isUsage = error instanceof UsageError;
    process.stderr.write(`nodejs-executor: ${isUsage ? error.message : describe(error)}\n`);
    exitProcess(isUsage ? USAGE : 1);
  });
}
