/** The program `nodejs-executor`: runs the Node.js blocks of one session and scope, as the engine calls for them. */

import * as inspector from "node:inspector";

import { type ExecutorArgs, executorArgs } from "./args.js";
import { Bus } from "./bus.js";
import type { Job } from "./job.js";
import { loadBlock } from "./loader.js";
import { type Log, openLog } from "./log.js";
import { EXECUTOR, isRunBlock, isRunServiceBlock, type Message, type RunBlock, topics } from "./messages.js";
import { Ending, main, tieLives, watchOver, workplace } from "./program.js";
import { type Call, Runner } from "./runner.js";
import { Services } from "./services.js";

async function execute(words: string[]): Promise<void> {
  const args = executorArgs(words);
  const { sessionId, identifier, address } = args;
  const log = openLog(sessionId, `nodejs-${identifier ?? sessionId}`);
  log.write(`nodejs-executor for session ${sessionId}, identifier ${identifier}, package ${args.package}`);
  const ending = new Ending(log);
  const bus = new Bus({
    address,
    clientId: `nodejs-executor-${identifier ?? sessionId}-${process.pid}`,
    sessionId,
    onLost: (reason) => ending.loudly(`the broker at ${address.host}:${address.port}: ${reason.message}`),
    onSessionFinished: () => ending.quietly("the session has finished"),
  });
  ending.bus = bus;
  const runner = new Runner(workplace(bus, log, args));
  watchOver(runner, ending);
  await bus.client.connected();
  await listen(args, bus, runner, log);
  await sayReady(args, bus);
  tieLives(ending, process.env["IS_FORKED"] !== undefined);
}

/** Resolves when everything is listened to: whoever sees this executor ready may call for blocks at once. */
async function listen(args: ExecutorArgs, bus: Bus, runner: Runner, log: Log): Promise<void> {
  const services = new Services(bus, log, args);
  const isMine = (message: Message): boolean =>
    message["session_id"] === args.sessionId && (message["identifier"] ?? undefined) === args.identifier;
  await Promise.all([
    bus.listen(topics.runBlock, (message) => {
      if (isMine(message) && isRunBlock(message)) {
        runner.start(message, (job) => load(message, job));
      }
    }),
    bus.listen(topics.runServiceBlock, (message) => {
      if (isMine(message) && isRunServiceBlock(message)) {
        services.run(message);
      }
    }),
    bus.listen(topics.serviceStatus, (message) => services.onStatus(message)),
    bus.listen(topics.serviceExit, (message) => services.onExit(message)),
    bus.listenToReports(),
  ]);
}

async function load(message: RunBlock, job: Job): Promise<Call> {
  const block = await loadBlock(message.dir, message.executor, job.stacks.at(-1)?.node_id ?? "block");
  return (context) => block(context.inputs, context);
}

async function sayReady(args: ExecutorArgs, bus: Bus): Promise<void> {
  const { sessionId, identifier, inspectWait } = args;
  const ready = {
    type: "ExecutorReady",
    executor_name: EXECUTOR,
    session_id: sessionId,
    package: args.package,
    identifier,
  };
  if (inspectWait === undefined) {
    await bus.send(topics.session(sessionId), ready);
    return;
  }
  inspector.open(inspectWait, "127.0.0.1");
  await bus.send(topics.session(sessionId), { ...ready, inspect_wait: inspectWait, process_id: process.pid });
  // Waiting stops this thread, so the message has to be out before.
  await bus.client.flush();
  inspector.waitForDebugger();
}

main(execute);
