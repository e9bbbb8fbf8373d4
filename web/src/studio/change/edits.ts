// A stack of edits, kept in the hash as JSON.
import { brief } from "../parts/words";
import type { ChangeEdit } from "../types";

export const KINDS: readonly (readonly [kind: ChangeEdit["kind"], text: string, value: string])[] = [
  ["zero", "Off", ""],
  ["scale", "Scaled", "By"],
  ["set", "Set", "To"],
  ["add", "Its direction added", "Times"],
  ["file", "Edits of a file", "Times"],
];

export function editsIn(text: string | undefined): ChangeEdit[] {
  try {
    const value: unknown = JSON.parse(text || "[]");
    return Array.isArray(value) ? value.filter((one): one is ChangeEdit => typeof one === "object" && one !== null && known(one)) : [];
  } catch {
    return [];
  }
}

const known = (one: object): boolean => "kind" in one && KINDS.some(([kind]) => kind === one.kind);

export const asText = (edits: readonly ChangeEdit[]): string => (edits.length ? JSON.stringify(edits) : "");

/** An edit in a few words. */
export function said({ kind, address, value, where, path }: ChangeEdit): string {
  const what = kind === "file" ? `${path}` : `${address}`;
  const how: Record<ChangeEdit["kind"], string> = {
    zero: "off", scale: `scaled by ${brief(value)}`, set: `set to ${brief(value)}`, add: `added ${brief(value)} times`,
    file: value === undefined || value === null || value === 1 ? "as it is" : `${brief(value)} times`,
  };
  return `${what} ${how[kind]}${where ? `, at ${where}` : ""}`;
}
