exports.twice = ({ x }) => ({ y: [x[0], require("node:path").extname(__filename).slice(1), x[1]] });
