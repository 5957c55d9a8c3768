export default ({ v }: { v: Buffer }) => ({ v: Buffer.from(v).reverse() });
