import type { Context, ServiceContext } from "@oomol/oocana-sdk";

let starts = 0;

export function main(service: ServiceContext) {
  starts += 1;
  let calls = 0;
  const messages: unknown[] = [];
  service.events.on("message", ({ payload }) => messages.push(payload));
  service.blockHandler = {
    count: () => ({ seen: [starts, (calls += 1), process.pid] }),
    listen: (_: unknown, context: Context) => {
      service.events.on("message", ({ payload }) => void context.finish({ result: { seen: payload } }));
      return context.keepAlive;
    },
    crash: () => process.kill(process.pid, "SIGKILL"),
  };
}

export function oneForAll(service: ServiceContext) {
  service.blockHandler = (block, inputs) => ({ seen: [block, inputs] });
}

export function broken() {
  throw new Error("the service does not start");
}
