import { basename } from "node:path";

export default async (_inputs: object, context: any) => ({ y: [basename(context.pkgDataDir), context.packageName, process.pid] });
