import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";

/** What a view is called, which takes the focus when one comes to it, and a line about it. */
export function Title({ text, children }: { text: string; children?: ComponentChildren }) {
  useEffect(() => void (document.title = `${text} – clew`), [text]);
  return (
    <div class="title">
      <h1 tabIndex={-1}>{text}</h1>
      {children && <p>{children}</p>}
    </div>
  );
}
