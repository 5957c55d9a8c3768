import { execSync, spawn } from "node:child_process";

export function throws() {
  throw new TypeError("thrown in the block");
}

export function throwsText() {
  throw "only text";
}

export async function rejectsLater(_, context) {
  Promise.reject(new Error("nobody listens"));
  return context.keepAlive;
}

export function throwsInTimer(_, context) {
  setTimeout(() => {
    throw new Error("in a timer");
  }, 1);
  return context.keepAlive;
}

export function afterTheEnd() {
  setTimeout(() => Promise.reject(new Error("late")), 1);
  return {};
}

export function exits({ code }) {
  process.exit(code);
}

export function waits(_, context) {
  return context.keepAlive;
}

export function spins() {
  process.stdout.write("spinning");
  const end = Date.now() + 60_000;
  while (Date.now() < end);
}

export function shouts({ length, lines, broker }, context) {
  // While the broker stands still, nothing that is written leaves.
  process.kill(broker, "SIGSTOP");
  for (let line = 0; line < lines; line += 1) {
    console.log("x".repeat(length));
    context.output("line", line);
  }
  process.kill(broker, "SIGCONT");
  return {};
}

// A child, a grandchild behind a shell, and one that has left its parents.
export function spawns() {
  spawn("sleep", ["1001.5"], { stdio: "ignore" });
  spawn("sh", ["-c", "trap '' TERM; sleep 1002.5; :"], { stdio: "ignore" });
  execSync("setsid -f sleep 1003.5", { stdio: "ignore" });
  return {};
}

export function crashesProcess(_, context) {
  globalThis.runOutside(() => Promise.reject(new Error("of no job")));
  return context.keepAlive;
}
