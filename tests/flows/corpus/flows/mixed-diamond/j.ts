export default ({ x }: { x: string }) => ({ y: Number(x) });
