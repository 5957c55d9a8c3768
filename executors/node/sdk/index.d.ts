/**
 * What a Node.js block of an Oocana flow is given, as types.
 *
 * ```ts
 * import type { Context } from "@oomol/oocana-sdk";
 *
 * export default async function (inputs: { a: number }, context: Context) {
 *   return { doubled: inputs.a * 2 };
 * }
 * ```
 */

/** Handles by name, as the manifests of the block and of its node define them. */
export type HandlesDef = Record<string, HandleDef>;

/** One input or output of a block. */
export interface HandleDef {
  handle: string;
  description?: string | null;
  json_schema?: JsonSchema | null;
  kind?: string | null;
  nullable?: boolean | null;
  /** Inputs only: the default. */
  value?: unknown;
  /** Whether the node added the handle to those of the block. */
  is_additional?: boolean;
}

/** The part of JSON Schema that the executor looks at. Other keys are kept. */
export interface JsonSchema {
  type?: string | string[];
  contentMediaType?: "oomol/var" | "oomol/bin" | "oomol/secret" | "oomol/credential" | (string & {});
  items?: JsonSchema;
  properties?: Record<string, JsonSchema>;
  [key: string]: unknown;
}

/** Where a job stands: one level for each flow that it is in, the root flow first. */
export interface BlockJobStackLevel {
  readonly flow_job_id: string;
  readonly flow: string;
  readonly node_id: string;
}

/** Returned by a block that goes on after its function has returned, and calls `context.finish()` later. */
export type KeepAlive = symbol;

/** What the function of a block may return: nothing, outputs by handle, or `context.keepAlive`. */
export type ReturnObject<TOutputs = Record<string, unknown>> = void | undefined | Partial<TOutputs> | KeepAlive;

/** The function of a block. */
export type MainFunction<TInputs = Record<string, any>, TOutputs = Record<string, any>> = (
  inputs: TInputs,
  context: Context<TInputs, TOutputs>,
) => ReturnObject<TOutputs> | Promise<ReturnObject<TOutputs>>;

/** An input of the type `oomol/credential`: a reference, resolved by {@link Context.queryAuth}. */
export interface CredentialInput {
  readonly type: string;
  readonly name: string;
  readonly id: string;
}

/** What is shown beside a node while it runs. */
export type PreviewPayload =
  | { type: "video" | "audio" | "markdown" | "iframe" | "html"; data: string }
  | { type: "json" | "text" | `text/${string}`; data: any }
  | { type: "image"; data: string | string[] }
  /** A table, or the path of a CSV file. Tables are written to a CSV file beneath `tmpDir`. */
  | { type: "table"; data: TableData | string }
  | { type: "csv"; data: string };

/** A table for a preview. */
export interface TableData {
  columns: Array<string | number>;
  rows: Array<Array<string | number | boolean | null>>;
  row_count?: number;
}

/** Which of its destinations an output goes to. A list that is left out names none of its kind. */
export interface OutputTarget {
  to_node?: Array<{ node_id: string; input_handle: string }>;
  to_flow?: Array<{ output_handle: string }>;
}

/** Calls back for every value; the returned function ends that. */
export type EventListener<T = any> = (listener: (value: T) => void) => () => void;

/** The values that a list of {@link EventListener}s calls back with. */
export type EventValues<T extends EventListener[]> = {
  [K in keyof T]: T[K] extends EventListener<infer V> ? V : never;
};

/** What the block that {@link Context.runBlock} starts is given. */
export interface RunBlockPayload {
  inputs?: Record<string, unknown>;
  additional_inputs_def?: HandleDef[];
  additional_outputs_def?: HandleDef[];
}

/** A block started by {@link Context.runBlock}. */
export interface BlockJob<TOutputs extends Record<string, unknown> = Record<string, unknown>> {
  readonly blockJobId: string;
  /** Outputs of all handles, as `{handle: value}`; or those of one handle: `job.onOutput("a")(value => …)`. */
  onOutput(listener: (outputs: Partial<TOutputs>) => void): () => void;
  onOutput<K extends Extract<keyof TOutputs, string>>(handle: K): EventListener<TOutputs[K]>;
  /** Progress, 0 to 100. */
  readonly onProgress: EventListener<number>;
  readonly onPreview: EventListener<PreviewPayload>;
  readonly onMessage: EventListener<unknown>;
  /** Resolves with the last value of each output when the block has ended; rejects when it failed. */
  finish(): Promise<{ result: Partial<TOutputs> }>;
  /** Stops listening. The block itself goes on. */
  dispose(): void;
}

/** Answer of {@link Context.queryBlock}. */
export interface BlockDescription {
  type: "task" | "subflow";
  description?: string;
  inputs_def?: HandlesDef;
  outputs_def?: HandlesDef;
  additional_inputs?: boolean;
  additional_outputs?: boolean;
  has_slot?: boolean;
}

/** Answer of {@link Context.queryDownstream}, for each output handle. */
export type Downstream = Record<
  string,
  {
    to_node?: Array<{
      node_id: string;
      description?: string;
      input_handle: string;
      input_handle_def?: HandleDef;
    }>;
    to_flow?: Array<{ output_handle: string; output_handle_def?: HandleDef }>;
  }
>;

/** Access to language models, as the environment describes it. */
export interface OOMOL_LLM_ENV {
  readonly baseUrl: string;
  /** An endpoint compatible with that of OpenAI. */
  readonly baseUrlV1: string;
  readonly apiKey: string;
  readonly models: string[];
}

/** The machine that the flow was started on. */
export interface HostInfo {
  readonly gpuVendor: string;
  readonly gpuRenderer: string;
}

/** One job of a block: what it works on, and how it talks to the flow. */
export interface Context<TInputs = Record<string, any>, TOutputs = Record<string, any>> {
  readonly sessionId: string;
  readonly jobId: string;
  /** The block's manifest; none for inline tasks. */
  readonly block_path?: string | undefined;
  readonly stacks: readonly BlockJobStackLevel[];
  /** The node in its flow; none when a block is run by itself. */
  readonly node_id: string | undefined;
  readonly inputs: Readonly<TInputs>;
  readonly inputsDef: HandlesDef;
  readonly outputsDef: HandlesDef;
  /** Kept from job to job of one node in one run of its flow. */
  readonly flowNodeStore: Record<string, any>;

  /** Shared by all blocks of the session. */
  readonly sessionDir: string;
  /** Shared by all blocks of the flow; removed by a later run when this one succeeds. */
  readonly tmpDir: string;
  /** The same, for the blocks of one package. Made when it is first asked for. */
  readonly tmpPkgDir: string;
  /** Kept from session to session, for each package; an older name of `pkgDataDir`. */
  readonly pkgDir: string;
  /** Kept from session to session, for each package. */
  readonly pkgDataDir: string;
  readonly packageName: string;

  readonly hostInfo: HostInfo;
  /** How services on the host are reached from inside a container. */
  readonly hostEndpoint: string | undefined;
  readonly OOMOL_LLM_ENV: OOMOL_LLM_ENV;
  readonly oomolFusionApiUrl: string;
  getOomolToken(): Promise<string>;

  /** To be returned by a block that calls `finish()` later. */
  readonly keepAlive: KeepAlive;

  /**
   * Hands one output on at once; a block may do so many times. Resolves when there is room
   * for more, so that a block which awaits it cannot outrun its connection. A handle that is not defined is dropped
   * with a warning.
   */
  output<K extends Extract<keyof TOutputs, string>>(
    handle: K,
    value: TOutputs[K],
    target?: OutputTarget,
  ): Promise<void>;
  /** Hands several outputs on at once. */
  outputs(values: Partial<TOutputs>): Promise<void>;
  /** Ends the job. Only the first call counts. */
  finish(end?: { result?: Partial<TOutputs>; error?: unknown }): Promise<void>;

  /** Shows an error with the block. It does not end it. */
  error(error: unknown): Promise<void>;
  /** Shows a warning with the block. */
  warning(message: string): Promise<void>;
  /** Shows a value in the log. */
  logJSON(value: unknown): Promise<void>;
  /** Shows a line in the log, as `console.log` does. */
  reportLog(text: string, stdio?: "stdout" | "stderr"): Promise<void>;
  /** Sends something to what shows the flow. */
  sendMessage(payload: unknown): Promise<void>;
  /** Shows a preview beside the node; one with the same id takes the place of the earlier one. */
  preview(payload: PreviewPayload, id?: string): Promise<void>;
  /** Progress, 0 to 100. At most one report in 300 ms leaves; the last one always does. */
  reportProgress(progress: number): Promise<void>;

  /** Describes a block: `self::name` or `package::name`. */
  queryBlock(block: string): Promise<BlockDescription>;
  /** Says what is connected to these outputs, or to all. */
  queryDownstream(handles?: string[]): Promise<Downstream>;
  /** Fetches the values of a credential by its id. */
  queryAuth(id: string): Promise<Record<string, string>>;
  /** Runs another block: `self::name` or `package::name`. `strict` checks the inputs against their schemas. */
  runBlock<T extends Record<string, unknown> = Record<string, unknown>>(
    block: string,
    payload?: RunBlockPayload,
    strict?: boolean,
  ): BlockJob<T>;
  /** Calls back with one value of each, in the order of their arrival. */
  joinOutputs<T extends EventListener[]>(...listeners: T): EventListener<EventValues<T>>;

  /** For the editor of flows, not for blocks. */
  readonly internal: {
    /** Sets how much a node counts in the progress of its flow: 0 or more. */
    updateNodeWeight(nodeId: string, weight: number | bigint): Promise<void>;
  };
}

/** The function of one block of a service. */
export type ServiceBlock<TInputs = any> = (inputs: TInputs, context: Context) => ReturnObject | Promise<ReturnObject>;

/** What the function of a service is given. It must set {@link ServiceContext.blockHandler}. */
export interface ServiceContext {
  /** Functions by block name, or one function for all blocks. */
  blockHandler:
    | Record<string, ServiceBlock>
    | ((block: string, inputs: any, context: Context) => ReturnObject | Promise<ReturnObject>)
    | undefined;
  readonly events: {
    /** Messages that what shows the flow sends to jobs of this service. */
    on(event: "message", listener: (message: ServiceMessage) => void): () => void;
  };
}

/** A message to a job of a service. */
export interface ServiceMessage {
  job_id: string;
  node_id: string;
  flow_path: string;
  payload: any;
}
