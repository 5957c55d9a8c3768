const path = require("node:path") as typeof import("node:path");
module.exports = (): object => ({ seen: path.basename(__filename) });
