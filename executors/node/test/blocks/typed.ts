import { Context } from "@oomol/oocana-sdk";

type Inputs = { a: number };

export default async function (inputs: Inputs, _context: Context<Inputs>): Promise<{ b: number }> {
  return { b: inputs.a + 1 };
}
