import type { Params, ViewName } from "../route";

const SHOWN: Record<string, [ViewName, string]> = {
  circuit: ["circuit", "path"], report: ["verify", "path"], comparison: ["verify", "path"], atlas: ["atlas", "path"], edits: ["change", "file"],
  index: ["unit", "index"], labels: ["unit", "index"],
};

/** Where an item of a kind is shown, if anywhere. */
export function pageOf(kind: string, path: string): { view: ViewName; params: Params } | null {
  const known = SHOWN[kind];
  return known ? { view: known[0], params: { [known[1]]: path } } : null;
}
