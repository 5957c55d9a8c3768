/** Messages of the executor protocol, as far as this side reads or writes them. They carry more than is named here. */

import type { BlockJobStackLevel, HandlesDef } from "@oomol/oocana-sdk";

/** The executor's name in topics and messages. */
export const EXECUTOR = "nodejs";

/** How a block is found and called. */
export interface BlockExecutor {
  options?: {
    entry?: string | null;
    function?: string | null;
    /** Code that stands in for a file. */
    source?: string | null;
  } | null;
}

/** `BlockPayload`: a job to be run. */
export interface RunBlock {
  session_id: string;
  identifier?: string | null;
  job_id: string;
  stacks?: BlockJobStackLevel[];
  dir: string;
  executor: BlockExecutor;
  outputs?: HandlesDef | null;
}

/** `ServiceBlockPayload`: a job to be run by a service. */
export interface RunServiceBlock {
  session_id: string;
  identifier?: string | null;
  job_id: string;
  stacks?: BlockJobStackLevel[];
  dir: string;
  block_name: string;
  service_hash: string;
  service_executor: {
    name?: string | null;
    entry?: string | null;
    function?: string | null;
    /** `Never` is how one engine writes `never`. */
    stop_at?: string | null;
    /** Seconds. */
    keep_alive?: number | null;
  };
  outputs?: HandlesDef | null;
}

/** `BlockInputs`: what a job works on. */
export interface BlockInputs {
  block_path?: string | null;
  stacks: BlockJobStackLevel[];
  inputs: Record<string, unknown> | null;
  inputs_def: HandlesDef | null;
  inputs_def_patch?: Record<string, SchemaPatch[]> | null;
}

/** A schema that the node lays over a part of an input. */
export interface SchemaPatch {
  path?: string | number | Array<string | number> | null;
  schema?: { contentMediaType?: string } | null;
}

/** Any message, before it is looked at. */
export type Message = Record<string, unknown>;

/** Topics. */
export const topics = {
  report: "report",
  runBlock: `executor/${EXECUTOR}/run_block`,
  runServiceBlock: `executor/${EXECUTOR}/run_service_block`,
  serviceStatus: "/service/report/status",
  serviceExit: "/service/report/exit",
  serviceMessage: "/service/message",
  /** Ends global services; written so by every executor. */
  servicesShutdown: "service/global/action/shutdown",
  session: (session: string): string => `session/${session}`,
  inputs: (session: string, job: string): string => `inputs/${session}/${job}`,
  response: (session: string, request: string): string => `session/${session}/request/${request}/response`,
  /** Topics of one service; those of a global service name no session. */
  service: (session: string | undefined, hash: string, what: ServiceTopic): string =>
    `${session === undefined ? "" : `/${session}`}/service/${EXECUTOR}/${hash}/${what}`,
};

/** What is said between an executor and its service. */
export type ServiceTopic =
  | "action/config"
  | "action/run"
  | "action/ping"
  | "action/shutdown"
  | "report/prepare"
  | "report/pong";

/** Reads a message; `undefined` when it is no JSON object. */
export function parseMessage(payload: Buffer): Message | undefined {
  try {
    const value: unknown = JSON.parse(payload.toString("utf8"));
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Whether a message has what a job needs. */
export function isJob(message: Message): boolean {
  return ["session_id", "job_id", "dir"].every((key) => typeof message[key] === "string");
}

/** Whether a message asks for a block. */
export function isRunBlock(message: Message): message is Message & RunBlock {
  return isJob(message) && isObject(message["executor"]);
}

/** Whether a message asks for a block of a service. */
export function isRunServiceBlock(message: Message): message is Message & RunServiceBlock {
  const hasNames = typeof message["block_name"] === "string" && typeof message["service_hash"] === "string";
  return isJob(message) && hasNames && isObject(message["service_executor"]);
}

/** Whether a value is an object and no list. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
