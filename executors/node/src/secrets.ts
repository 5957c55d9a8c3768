/**
 * Secrets and credentials in inputs. A secret is written as `type,name,key` where a schema says `oomol/secret`, or as
 * `${{OO_SECRET:type,name,key}}` anywhere, and its value stands in a file of the user. A credential becomes a
 * reference that the block resolves itself.
 */

import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

import type { CredentialInput, HandlesDef, JsonSchema } from "@oomol/oocana-sdk";

import { type BlockInputs, isObject, type SchemaPatch } from "./messages.js";

const SECRET = "oomol/secret";
const SECRET_TEXT = /^\$\{\{OO_SECRET:([^,]+,[^,]+,[^,]+)\}\}$/;
const CREDENTIAL = "oomol/credential";
const CREDENTIAL_TEXT = /^\$\{\{OO_CREDENTIAL:([^,{}]+),([^,{}]+),([^,{}]+)\}\}$/;

type Warn = (message: string) => void;
type Lookup = (path: string) => string | undefined;

/** Whether a message can hold secrets at all; large ones are seldom worth a walk. */
export function mayHoldSecrets(payload: Buffer): boolean {
  return payload.includes("OO_SECRET") || payload.includes(SECRET);
}

/** Puts secrets in the place of their names. What is not found stays, with a warning. */
export function resolveSecrets(message: BlockInputs, warn: Warn): void {
  const inputs = message.inputs ?? {};
  const lookup = secretsOf(join(homedir(), "app-config", "oomol-secrets", "secrets.json"), warn);
  for (const [handle, value] of Object.entries(inputs)) {
    inputs[handle] = resolve(value, schemaOf(message.inputs_def, handle), lookup);
  }
  for (const [handle, patches] of Object.entries(message.inputs_def_patch ?? {})) {
    for (const patch of Array.isArray(patches) ? patches : []) {
      if (patch.schema?.contentMediaType === SECRET) {
        resolveAt(inputs, [handle, ...pathOf(patch)], lookup);
      }
    }
  }
}

/** Puts references in the place of the texts of credentials. */
export function resolveCredentials(inputs: Record<string, unknown>, definitions: HandlesDef | null): void {
  for (const [handle, value] of Object.entries(inputs)) {
    if (schemaOf(definitions, handle)?.contentMediaType === CREDENTIAL && typeof value === "string") {
      inputs[handle] = credential(value) ?? value;
    }
  }
}

function credential(text: string): CredentialInput | undefined {
  const [, type, name, id] = CREDENTIAL_TEXT.exec(text) ?? [];
  return type === undefined || name === undefined || id === undefined ? undefined : { type, name, id };
}

/** A value with its secrets. Lists and objects are changed in place. */
function resolve(value: unknown, schema: JsonSchema | undefined, lookup: Lookup): unknown {
  if (typeof value === "string") {
    const written = SECRET_TEXT.exec(value)?.[1];
    const path = written ?? (schema?.contentMediaType === SECRET ? value : undefined);
    return path === undefined ? value : (lookup(path) ?? value);
  }
  if (Array.isArray(value)) {
    value.forEach((item, index) => {
      value[index] = resolve(item, schema?.items, lookup);
    });
  } else if (isObject(value)) {
    for (const [key, item] of Object.entries(value)) {
      value[key] = resolve(item, schema?.properties?.[key], lookup);
    }
  }
  return value;
}

/** Resolves one place, when it is there and holds text. */
function resolveAt(root: Record<string, unknown>, path: Array<string | number>, lookup: Lookup): void {
  let place: unknown = root;
  for (const key of path.slice(0, -1)) {
    place = hasOwn(place, key) ? place[key] : undefined;
  }
  const last = path.at(-1);
  if (last !== undefined && hasOwn(place, last)) {
    place[last] = resolve(place[last], { contentMediaType: SECRET }, lookup);
  }
}

function pathOf({ path }: SchemaPatch): Array<string | number> {
  if (path === undefined || path === null || path === "") {
    return [];
  }
  return Array.isArray(path) ? path : [path];
}

/** Reads the user's secrets and answers `type,name,key`. */
function secretsOf(file: string, warn: Warn): Lookup {
  let secrets: unknown;
  try {
    secrets = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    warn(`secrets are not put in, because ${file} cannot be read: ${error instanceof Error ? error.message : error}`);
    return () => undefined;
  }
  return (path) => {
    // The type is for what shows secrets; names are unique without it.
    const [, name = "", key] = path.split(",");
    const group = hasOwn(secrets, name) ? secrets[name] : undefined;
    const entries = isObject(group) ? group["secrets"] : undefined;
    const found: unknown = Array.isArray(entries)
      ? entries.find((entry) => isObject(entry) && entry["secretKey"] === key)
      : undefined;
    if (isObject(found) && typeof found["value"] === "string") {
      return found["value"];
    }
    warn(`there is no secret \`${path}\` in ${file}`);
    return undefined;
  };
}

function schemaOf(definitions: HandlesDef | null, handle: string): JsonSchema | undefined {
  return (hasOwn(definitions, handle) ? definitions[handle]?.json_schema : undefined) ?? undefined;
}

function hasOwn(value: unknown, key: string | number): value is Record<string | number, any> {
  return typeof value === "object" && value !== null && Object.hasOwn(value, key);
}
