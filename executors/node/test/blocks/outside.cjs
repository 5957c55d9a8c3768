// Loaded before the executor: lets a block run code that belongs to no job, as libraries with pools of their own do.
const { AsyncResource } = require("node:async_hooks");

const outside = new AsyncResource("outside");
globalThis.runOutside = (work) => outside.runInAsyncScope(work);
