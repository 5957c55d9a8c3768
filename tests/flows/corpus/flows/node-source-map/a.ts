import { deep } from "./lib/deep";

interface Nothing {
  of: string;
}

enum Kind {
  One,
}

export default async function (): Promise<Nothing> {
  try {
    return deep(Kind.One);
  } catch (cause) {
    throw new Error("the first reason", { cause });
  }
}
