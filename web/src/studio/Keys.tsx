import { useEffect, useRef } from "preact/hooks";
import { helping, KEYS } from "./keys";

/** The keys, over what is shown; the dialog keeps the focus and gives it back. */
export function Keys() {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (helping.value) dialog.current?.showModal();
    else dialog.current?.close();
  }, [helping.value]);
  return (
    <dialog ref={dialog} aria-labelledby="keys-title" onClose={() => (helping.value = false)}>
      <h2 id="keys-title">Keys</h2>
      <dl class="keys">
        {KEYS.map(([keys, what]) => (
          <div key={keys}>
            <dt>
              <kbd>{keys}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <button type="button" onClick={() => (helping.value = false)}>
        Close
      </button>
    </dialog>
  );
}
