/** The command lines of the executor and of its services. Unknown options are ignored: engines add their own. */

/** Where the broker is when nothing else is said. */
const DEFAULT_ADDRESS = "127.0.0.1:47688";

/** Where a broker listens. */
export interface Address {
  host: string;
  port: number;
}

/** What an executor is told. */
export interface ExecutorArgs {
  sessionId: string;
  sessionDir: string;
  tmpDir: string;
  address: Address;
  /** Directory of the package whose blocks run here. */
  package: string | undefined;
  /** Tells the executors of one session apart. */
  identifier: string | undefined;
  /** Port of the debugger to wait for. */
  inspectWait: number | undefined;
}

/** What a service process is told. */
export interface ServiceArgs {
  /** None for services that outlive sessions. */
  sessionId: string | undefined;
  sessionDir: string;
  tmpDir: string;
  serviceHash: string;
  address: Address;
  package: string | undefined;
}

/** The command line is not usable. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Reads the command line of `nodejs-executor`. */
export function executorArgs(words: string[]): ExecutorArgs {
  const options = parse(words);
  return {
    sessionId: required(options, "session-id"),
    sessionDir: required(options, "session-dir"),
    tmpDir: required(options, "tmp-dir"),
    address: address(options.get("address") ?? DEFAULT_ADDRESS),
    package: options.get("package"),
    identifier: options.get("identifier"),
    inspectWait: port(options, "inspect-wait"),
  };
}

/** Reads the command line of a service process. */
export function serviceArgs(words: string[]): ServiceArgs {
  const options = parse(words);
  return {
    sessionId: options.get("session-id"),
    sessionDir: required(options, "session-dir"),
    tmpDir: required(options, "tmp-dir"),
    serviceHash: required(options, "service-hash"),
    address: address(required(options, "address")),
    package: options.get("package"),
  };
}

/** `--name value` and `--name=value`; an option without a value counts as not given. */
function parse(words: string[]): Map<string, string> {
  const options = new Map<string, string>();
  words.forEach((word, index) => {
    if (!word.startsWith("--")) {
      return;
    }
    const equals = word.indexOf("=");
    const value = equals < 0 ? words[index + 1] : word.slice(equals + 1);
    if (value !== undefined && !(equals < 0 && value.startsWith("--"))) {
      options.set(word.slice(2, equals < 0 ? undefined : equals), value);
    }
  });
  return options;
}

function required(options: Map<string, string>, name: string): string {
  const value = options.get(name);
  if (value === undefined || value === "") {
    throw new UsageError(`the option --${name} is missing`);
  }
  return value;
}

/** `host:port`, with or without `mqtt://` before it. */
function address(text: string): Address {
  const [, host, digits] = /^(?:mqtt:\/\/)?\[?(.+?)\]?:(\d{1,5})\/?$/.exec(text) ?? [];
  const number = Number(digits);
  if (host === undefined || !(number >= 1 && number <= 65_535)) {
    throw new UsageError(`\`--address ${text}\` is not of the form host:port`);
  }
  return { host, port: number };
}

function port(options: Map<string, string>, name: string): number | undefined {
  const text = options.get(name);
  if (text === undefined) {
    return undefined;
  }
  const number = Number(text);
  if (!Number.isInteger(number) || number < 0 || number > 65_535) {
    throw new UsageError(`\`--${name} ${text}\` is not a port`);
  }
  return number;
}
