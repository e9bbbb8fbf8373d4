// One thing that is asked of the server at a time: whether it is waited for, what came, what went wrong. A newer question
// cancels the one before; leaving the view cancels too.
import { type Signal, useSignal } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { cancelled, Problem } from "./api";

export interface Asking<A extends unknown[], T> {
  waiting: Signal<boolean>;
  problem: Signal<string>;
  answer: Signal<T | null>;
  /** Ask; the answer, or null where it was cancelled or went wrong. */
  run: (...given: A) => Promise<T | null>;
  cancel: () => void;
}

export function useAsking<A extends unknown[], T>(ask: (signal: AbortSignal, ...given: A) => Promise<T>): Asking<A, T> {
  const waiting = useSignal(false);
  const problem = useSignal("");
  const answer = useSignal<T | null>(null);
  const latest = useRef(ask);
  latest.current = ask;
  const asking = useMemo(() => {
    let control = new AbortController();
    const cancel = () => {
      control.abort();
      waiting.value = false;
    };
    const run = async (...given: A): Promise<T | null> => {
      control.abort();
      const mine = (control = new AbortController());
      waiting.value = true;
      problem.value = "";
      try {
        const value = await latest.current(mine.signal, ...given);
        if (mine.signal.aborted) return null;
        return (answer.value = value);
      } catch (error) {
        if (!mine.signal.aborted && !cancelled(error)) problem.value = sentence(error);
        return null;
      } finally {
        if (mine === control) waiting.value = false;
      }
    };
    return { waiting, problem, answer, run, cancel };
  }, []);
  useEffect(() => asking.cancel, []);
  return asking;
}

/** What went wrong, for a reader. */
export function sentence(error: unknown): string {
  if (error instanceof Problem) return error.message;
  return `this page stumbled: ${error instanceof Error ? error.message : String(error)}`;
}
