import type { Asking } from "../asking";
import { useSlow } from "./slow";

/** Beside what asks: that it is waited for and can be given up, or what went wrong. */
export function Asked<A extends unknown[], T>({ of, what }: { of: Asking<A, T>; what: string }) {
  const slow = useSlow(of.waiting);
  return (
    <>
      {of.waiting.value && slow.value && <Waiting what={what} cancel={of.cancel} />}
      <Wrong said={of.problem.value} />
    </>
  );
}

export function Waiting({ what, cancel }: { what: string; cancel?: () => void }) {
  return (
    <p class="waiting" role="status">
      <span class="pulse" aria-hidden="true" />
      {what}
      {cancel && (
        <button type="button" class="quiet" onClick={cancel}>
          Cancel
        </button>
      )}
    </p>
  );
}

export function Wrong({ said }: { said: string | null | undefined }) {
  return said ? (
    <p class="wrong" role="alert">
      {said}
    </p>
  ) : null;
}
