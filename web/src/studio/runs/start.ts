import { send } from "../api";
import { met } from "../state";
import type { Run } from "../types";

/** Start something long; it is listed at once. */
export async function startRun(verb: string, args: Record<string, unknown>, signal: AbortSignal): Promise<Run> {
  const run = await send<Run>("POST", "runs", {}, { verb, args }, signal);
  met(run);
  return run;
}
