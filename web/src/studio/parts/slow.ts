import { type ReadonlySignal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";

const SOON = 150;

/** Whether something has been waited for long enough to say so; what comes at once does not flicker. */
export function useSlow(waiting: ReadonlySignal<boolean>): ReadonlySignal<boolean> {
  const slow = useSignal(false);
  useEffect(() => {
    slow.value = false;
    if (!waiting.value) return;
    const timer = setTimeout(() => (slow.value = true), SOON);
    return () => clearTimeout(timer);
  }, [waiting.value]);
  return slow;
}
