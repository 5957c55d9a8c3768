export default ({ v }: { v: Map<string, () => number> }) => ({ y: `kept ${v.get("number")?.()}` });
