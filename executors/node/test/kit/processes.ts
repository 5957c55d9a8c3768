/** Looks at the processes of this machine. */

import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";

/** Whether a process is there and no zombie. */
export function alive(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

/** Resolves when a process is gone. The system tells nobody but its parent, so one has to look. */
export async function gone(pid: number): Promise<void> {
  while (alive(pid)) {
    await pause(5);
  }
}

/** Living processes with this text in their command line. */
export function withCommand(text: string): number[] {
  const pids = readdirSync("/proc")
    .map(Number)
    .filter((pid) => pid > 0);
  return pids.filter((pid) => commandOf(pid).includes(text) && alive(pid));
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  } catch {
    return "";
  }
}
