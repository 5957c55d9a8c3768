export default ({ a, b }: { a: number; b: number }) => ({ sum: a + b });
