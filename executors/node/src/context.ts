/** What a block is given beside its inputs. Methods are bound, so that blocks may take them out of the object. */

import { mkdirSync } from "node:fs";
import { join } from "node:path";

import type {
  BlockDescription,
  BlockJob,
  Context,
  Downstream,
  HandlesDef,
  HostInfo,
  KeepAlive,
  OOMOL_LLM_ENV,
  OutputTarget,
  PreviewPayload,
  RunBlockPayload,
} from "@oomol/oocana-sdk";

import { describe } from "./errors.js";
import type { Job, JobEnd } from "./job.js";
import { joinOutputs, startBlock } from "./run-block.js";
import { withoutTable } from "./table.js";

/** The one value that `context.keepAlive` has. */
export const KEEP_ALIVE: KeepAlive = Symbol("keepAlive");

type Values = Record<string, any>;

/** The context of one job. */
export class BlockContext implements Context<Values, Values> {
  readonly sessionId: string;
  readonly jobId: string;
  readonly block_path: string | undefined;
  readonly stacks: Context["stacks"];
  readonly node_id: string | undefined;
  readonly outputsDef: HandlesDef;
  readonly flowNodeStore: Record<string, any>;
  readonly sessionDir: string;
  readonly tmpDir: string;
  readonly pkgDir: string;
  readonly pkgDataDir: string;
  readonly packageName: string;
  readonly hostInfo: HostInfo;
  readonly hostEndpoint = process.env["OO_HOST_ENDPOINT"];
  readonly keepAlive = KEEP_ALIVE;
  readonly joinOutputs = joinOutputs;
  readonly #job: Job;
  #hasWarnedOfModels = false;

  constructor(
    job: Job,
    readonly inputs: Readonly<Values>,
    readonly inputsDef: HandlesDef,
  ) {
    const { workplace, stacks } = job;
    const level = stacks.at(-1);
    this.#job = job;
    this.sessionId = job.sessionId;
    this.jobId = job.id;
    this.block_path = job.blockPath;
    this.stacks = stacks;
    this.node_id = level?.node_id;
    this.outputsDef = job.outputsDef;
    this.flowNodeStore = storeOf(workplace.nodeStores, `${level?.flow_job_id ?? ""}/${level?.node_id ?? ""}`);
    this.sessionDir = workplace.sessionDir;
    this.tmpDir = workplace.tmpDir;
    this.pkgDir = workplace.packageDataDir;
    this.pkgDataDir = workplace.packageDataDir;
    this.packageName = workplace.packageName;
    this.hostInfo = Object.freeze({
      gpuVendor: process.env["OOMOL_HOST_GPU_VENDOR"] || "unknown",
      gpuRenderer: process.env["OOMOL_HOST_GPU_RENDERER"] || "unknown",
    });
  }

  get tmpPkgDir(): string {
    const path = join(this.tmpDir, this.packageName);
    mkdirSync(path, { recursive: true });
    return path;
  }

  get oomolFusionApiUrl(): string {
    return process.env["OOMOL_FUSION_API_URL"] ?? "";
  }

  get OOMOL_LLM_ENV(): OOMOL_LLM_ENV {
    const models = process.env["OOMOL_LLM_MODELS"];
    const env = Object.freeze({
      baseUrl: process.env["OOMOL_LLM_BASE_URL"] ?? "",
      baseUrlV1: process.env["OOMOL_LLM_BASE_URL_V1"] ?? "",
      apiKey: process.env["OOMOL_LLM_API_KEY"] ?? "",
      models: models ? models.split(",") : [],
    });
    const missing = Object.entries(env).flatMap(([name, value]) => (value.length === 0 ? [name] : []));
    if (missing.length > 0 && !this.#hasWarnedOfModels) {
      this.#hasWarnedOfModels = true;
      void this.warning(`OOMOL_LLM_ENV has no ${missing.join(", ")}: what uses a language model may not work`);
    }
    return env;
  }

  readonly getOomolToken = async (): Promise<string> => process.env["OOMOL_TOKEN"] ?? "";

  readonly output = async (handle: string, value: unknown, target: OutputTarget = {}): Promise<void> =>
    this.#job.output(handle, value, target);

  readonly outputs = async (values: Values): Promise<void> => this.#job.outputs(values);

  readonly finish = async (end: JobEnd = {}): Promise<void> => this.#job.finish(end);

  readonly error = async (error: unknown): Promise<void> =>
    this.#job.send({ type: "BlockError", error: describe(error) });

  readonly warning = async (message: string): Promise<void> => this.#job.warn(String(message));

  readonly logJSON = async (json: unknown): Promise<void> => this.#job.report({ type: "BlockLogJSON", json });

  readonly reportLog = async (text: string, stdio: "stdout" | "stderr" = "stdout"): Promise<void> =>
    this.#job.writeLog(String(text), stdio);

  readonly sendMessage = async (payload: unknown): Promise<void> => this.#job.report({ type: "BlockMessage", payload });

  readonly preview = async (payload: PreviewPayload, id?: string): Promise<void> => {
    const shown = withoutTable(payload, join(this.tmpDir, this.jobId));
    const request = { type: "BlockRequest", action: "Preview", request_id: crypto.randomUUID() };
    return this.#job.send({ ...request, payload: id === undefined ? shown : { ...shown, id } });
  };

  readonly reportProgress = async (progress: number): Promise<void> => this.#job.progress.report(Number(progress) || 0);

  readonly queryBlock = async (block: string): Promise<BlockDescription> =>
    (await this.#ask("QueryBlock", { block: requireName(block) })) as BlockDescription;

  readonly queryDownstream = async (handles?: string[]): Promise<Downstream> => {
    if (handles !== undefined && !Array.isArray(handles)) {
      throw new TypeError("queryDownstream takes a list of output handles");
    }
    const downstream = (await this.#ask("QueryDownstream", { handles })) as Downstream;
    // Not every engine looks at the list.
    const isWanted = ([handle]: [string, unknown]): boolean => handles?.includes(handle) ?? true;
    return Object.fromEntries(Object.entries(downstream ?? {}).filter(isWanted));
  };

  readonly queryAuth = async (id: string): Promise<Record<string, string>> =>
    (await this.#ask("QueryAuth", { payload: id, id })) as Record<string, string>;

  readonly runBlock = <T extends Record<string, unknown>>(
    block: string,
    payload: RunBlockPayload = {},
    strict = false,
  ): BlockJob<T> => startBlock(this.#job, requireName(block), payload, strict);

  readonly internal = {
    updateNodeWeight: async (nodeId: string, weight: number | bigint): Promise<void> => {
      const number = Number(weight);
      if (!Number.isFinite(number) || number < 0) {
        throw new RangeError(`the weight of a node is a number of 0 or more, not ${weight}`);
      }
      const request = { type: "BlockRequest", action: "UpdateNodeWeight", request_id: crypto.randomUUID() };
      return this.#job.send({ ...request, node_id: nodeId, weight: number });
    },
  };

  async #ask(action: string, fields: Record<string, unknown>): Promise<unknown> {
    const { workplace, sessionId: session_id, id: job_id } = this.#job;
    try {
      return await workplace.bus.request({ action, session_id, job_id, ...fields });
    } catch (cause) {
      throw new Error(`${action} failed: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    }
  }
}

function storeOf(stores: Map<string, Record<string, unknown>>, key: string): Record<string, unknown> {
  const store = stores.get(key) ?? {};
  stores.set(key, store);
  return store;
}

function requireName(block: string): string {
  if (typeof block !== "string" || block === "") {
    throw new TypeError("name a block, as `self::name` or `package::name`");
  }
  return block;
}
