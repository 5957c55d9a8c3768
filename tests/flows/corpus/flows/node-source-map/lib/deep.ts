type Any = unknown;

export namespace inner {
  export function fail(kind: Any): never {
    // A line that is not in what is run.
    throw new Error(`the second reason: ${kind}`);
  }
}

export const deep = (kind: Any): never => inner.fail(kind);
