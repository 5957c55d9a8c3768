export const main = ({ x }) => ({ y: ["mjs", x] });
