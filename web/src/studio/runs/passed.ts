import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { heardAt } from "../state";
import type { Run } from "../types";

/** Seconds that a run has been at work since it was last told of: its clock goes on where its steps are long. */
export function usePassed(run: Run): number {
  const now = useSignal(performance.now());
  useEffect(() => {
    const ticking = setInterval(() => (now.value = performance.now()), 1000);
    return () => clearInterval(ticking);
  }, []);
  return run.state === "running" ? Math.max(0, now.value - heardAt(run)) / 1000 : 0;
}
