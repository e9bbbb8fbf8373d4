import { send } from "../api";
import { met } from "../state";
import type { Run } from "../types";

/** Start something long; it is listed at once. Args: name: of its result, where a person gave one. */
export async function startRun(verb: string, args: Record<string, unknown>, signal: AbortSignal, name = ""): Promise<Run> {
  const run = await send<Run>("POST", "runs", {}, { verb, args, name: name || null }, signal);
  met(run);
  return run;
}
