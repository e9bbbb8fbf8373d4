import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";

/** A sheet with a heading. */
export function Section({ title, children, aside, class: name = "" }: { title: string; children: ComponentChildren; aside?: ComponentChildren; class?: string }) {
  const id = useId();
  return (
    <section class={`panel ${name}`} aria-labelledby={id}>
      <div class="heading">
        <h2 id={id}>{title}</h2>
        {aside}
      </div>
      {children}
    </section>
  );
}
