import type { Context } from "@oomol/oocana-sdk";

export function make(_: unknown, context: Context) {
  const shared = new Map([["k", 1n]]);
  void context.output("object", shared);
  void context.output("object", new Map([["k", 2n]]));
  return { plain: "text", bytes: Buffer.from([0, 1, 255]), more: new Uint8Array([7]).buffer };
}

export function take({ object, second, bytes }: Record<string, any>) {
  return { seen: [String(object.get("k")), String(second.get("k")), Buffer.isBuffer(bytes), bytes.toString("hex")] };
}

export function echo(inputs: Record<string, any>) {
  return { seen: inputs };
}

export function wrong() {
  return { bytes: "no bytes" };
}

export function big({ text }: { text: string }) {
  return { text: `${text}!` };
}

export function huge(_: unknown, context: Context) {
  return context.output("text", "x".repeat(268_435_456));
}

export function bigint() {
  return { text: 1n };
}
