import { useEffect, useRef } from "preact/hooks";
import { download, picture, subgraph, svg, withNames } from "./saving";
import type { View } from "./view";

/** Files that the browser makes: pictures of what is shown, and the circuit with its names and groups. */
export function Save({ view }: { view: View }) {
  const menu = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    const close = (event: Event) => {
      if (menu.current && !menu.current.contains(event.target as Node)) menu.current.open = false;
    };
    addEventListener("pointerdown", close);
    addEventListener("focusin", close);
    return () => {
      removeEventListener("pointerdown", close);
      removeEventListener("focusin", close);
    };
  }, []);
  const json = (value: unknown) => new Blob([JSON.stringify(value)], { type: "application/json" });
  const choices: [string, string, () => Blob | Promise<Blob>][] = [
    ["SVG", "circuit.svg", () => new Blob([svg(view)], { type: "image/svg+xml" })],
    ["PNG", "circuit.png", () => picture(view)],
    ["JSON: the circuit", "circuit.json", () => json(withNames(view))],
    ["JSON: the subgraph", "subgraph.json", () => json(subgraph(view))],
  ];
  return (
    <details class="menu" id="export" ref={menu} onKeyDown={(e) => {
      if (e.key !== "Escape" || !menu.current!.open) return;
      e.stopPropagation();
      menu.current!.open = false;
      menu.current!.querySelector("summary")!.focus();
    }}>
      <summary role="button">Save as</summary>
      <div>
        {choices.map(([name, file, make]) => (
          <button key={name} type="button" onClick={async () => {
            download(await make(), file);
            menu.current!.open = false;
          }}>{name}</button>
        ))}
      </div>
    </details>
  );
}
