export default ({ x }: { x: unknown }) => ({ y: [...(Array.isArray(x) ? x : []), process.pid] });
