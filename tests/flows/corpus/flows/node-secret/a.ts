export default ({ s, t }: { s: string; t: string[] }) => ({ y: [s, t] });
