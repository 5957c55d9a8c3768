/** Tables of previews, as CSV (RFC 4180, with line feeds). */

import { randomUUID } from "node:crypto";
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import type { PreviewPayload, TableData } from "@oomol/oocana-sdk";

/** A preview as it is sent: a table becomes a file in `folder`. */
export function withoutTable(payload: PreviewPayload, folder: string): PreviewPayload {
  if (payload.type !== "table" || typeof payload.data === "string" || !Array.isArray(payload.data?.rows)) {
    return payload;
  }
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${randomUUID()}.csv`);
  writeFileSync(`${path}.part`, csv(payload.data));
  renameSync(`${path}.part`, path);
  return { ...payload, data: path };
}

function csv(table: TableData): string {
  return [table.columns ?? [], ...table.rows].map((row) => row.map(field).join(",")).join("\n");
}

function field(value: unknown): string {
  const text = value === null || value === undefined ? "" : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
