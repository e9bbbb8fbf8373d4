import { useSignal } from "@preact/signals";

/** A command as it is typed in a terminal, and a button that copies it. */
export function Command({ text }: { text: string }) {
  const copied = useSignal(false);
  const copy = () =>
    void navigator.clipboard.writeText(text).then(
      () => (copied.value = true),
      () => (copied.value = false),
    );
  return (
    <p class="command">
      <code>{text}</code>
      <button type="button" class="quiet" onClick={copy}>
        {copied.value ? "Copied" : "Copy"}
      </button>
    </p>
  );
}
