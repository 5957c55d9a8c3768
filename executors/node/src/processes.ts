/** The processes around this one: what blocks have started ends with it, and it ends with who started it. */

import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";

/** The variable by which descendants are known, however far they are. Its value is different for each executor. */
export const MARK = "OOCANA_EXECUTOR_MARK";

/** Who started this process: asked first of all, since it may be gone at any time. */
const PARENT = process.ppid;
/** How often one looks whether the parent is still there, in milliseconds. */
const PARENT_MS = 2000;

/**
 * Waits for the end of its standard input, which comes when the executor is gone, and ends what has its mark: SIGTERM,
 * and SIGKILL for what is there 0.3 s later. `$1` is the mark.
 */
const REAPER = `
marked() { grep -lzsxF -e "$1" /proc/[0-9]*/environ | cut -d / -f 3; }
while read -r _; do :; done
pids=$(marked "$1")
[ -z "$pids" ] && exit 0
kill -TERM $pids 2>/dev/null
n=0
while [ $n -lt 30 ] && [ -n "$(marked "$1")" ]; do sleep 0.01; n=$((n + 1)); done
pids=$(marked "$1")
[ -z "$pids" ] || kill -KILL $pids 2>/dev/null
`;

/**
 * Sees to it that whatever blocks start ends with this process, however that ends: by itself, by a signal that cannot
 * be caught, or in the midst of a block that never lets go. So this is not done by this process, but by a shell at the
 * other end of a pipe. Its processes are found by a variable in their environment; those that dropped it are not.
 */
export function endChildrenWithThis(): void {
  const mark = `${process.pid}-${randomUUID()}`;
  const reaper = spawn("sh", ["-c", REAPER, "reaper", `${MARK}=${mark}`], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
    env: unmarked(),
    cwd: "/",
  });
  reaper.on("error", () => undefined);
  reaper.stdin.on("error", () => undefined);
  reaper.unref();
  process.env[MARK] = mark;
}

/** The environment for a process that outlives this one. */
export function unmarked(): NodeJS.ProcessEnv {
  const { [MARK]: _, ...env } = process.env;
  return env;
}

/**
 * Calls back when the process that started this one is gone. An engine that is killed has no time to end its
 * executors, and a broker that outlives it would keep them.
 */
export function watchParent(onGone: () => void): void {
  const timer = setInterval(() => {
    if (process.ppid !== PARENT) {
      clearInterval(timer);
      onGone();
    }
  }, PARENT_MS);
  timer.unref();
}
