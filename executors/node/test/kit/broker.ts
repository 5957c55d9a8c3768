/** A real broker on a port of its own: Debian's mosquitto. */

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A running broker. */
export interface Broker {
  port: number;
  pid: number;
  stop(): Promise<void>;
}

/** Starts a broker that ordinary users may run; resolves when it listens. */
export async function startBroker(): Promise<Broker> {
  const folder = mkdtempSync(join(tmpdir(), "oocana-broker-"));
  const config = join(folder, "mosquitto.conf");
  const port = await freePort();
  writeFileSync(
    config,
    `listener ${port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\nlog_dest stderr\nuser root\n`,
  );
  const path = `${process.env["PATH"]}:/usr/sbin`;
  const child = spawn("mosquitto", ["-c", config], {
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, PATH: path },
  });
  await running(child);
  return {
    port,
    pid: child.pid ?? 0,
    stop: async () => {
      await ended(child);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Resolves when the broker says that it runs. */
function running(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let log = "";
    child.on("error", reject);
    child.on("exit", (code) => reject(new Error(`mosquitto ended with ${code}:\n${log}`)));
    child.stderr?.on("data", (chunk) => {
      log += String(chunk);
      if (log.includes("running")) {
        resolve();
      }
    });
  });
}

/** Ends a process and waits for that. */
export function ended(child: ChildProcess, signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) {
    return Promise.resolve();
  }
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.kill(signal);
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}
