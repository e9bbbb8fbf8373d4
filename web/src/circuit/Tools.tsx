import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { plural } from "../card/words";
import { Save } from "./Save";
import type { Side } from "./types";
import type { View } from "./view";

/** How much is shown, the search, and what can be saved. */
export function Tools({ view }: { view: View }) {
  const many = view.graph.value.ranked.length, possible = view.graph.value.edges.length;
  // The slider of sizes runs on a log scale, so that 10 and 1000 are equally easy to reach.
  const slid = many > 1 ? Math.round((1000 * Math.log(view.size.value)) / Math.log(many)) : 1000;
  return (
    <div class="tools" role="toolbar" aria-label="What is shown">
      <label class="slide"><span>Nodes</span>
        <input id="size" type="range" min={0} max={1000} step={1} value={slid} aria-valuetext={plural(view.size.value, "node")}
          onInput={(e) => view.resize(many ** (Number(e.currentTarget.value) / 1000))} />
        <output id="size-is">{view.size.value}</output></label>
      <label class="slide"><span>Edges</span>
        <input id="edges" type="range" min={0} max={possible} step={1} value={view.edges.value} aria-valuetext={plural(view.edges.value, "edge")}
          onInput={(e) => (view.edges.value = Number(e.currentTarget.value))} />
        <output id="edges-are">{view.edges.value}</output></label>
      {view.data.sides && <Sides view={view} names={view.data.sides.names} />}
      <Find view={view} />
      <Save view={view} />
    </div>
  );
}

function Sides({ view, names }: { view: View; names: [string, string] }) {
  const choices: [Side | "all", string][] = [["all", "all"], ["a", `only ${names[0]}`], ["both", "both"], ["b", `only ${names[1]}`]];
  return (
    <div class="choice" role="group" aria-label="Which of the two circuits">
      {choices.map(([side, name]) => (
        <button key={side} type="button" aria-pressed={view.side.value === side} onClick={() => (view.side.value = side)}>{name}</button>
      ))}
    </div>
  );
}

/** What is found is lit; Enter goes from one to the next, strongest first. */
function Find({ view }: { view: View }) {
  const at = useSignal(-1), input = useRef<HTMLInputElement>(null);
  const hits = view.hits.value, here = hits.filter((item) => view.alive.value[item.i]).length;
  const told = !view.query.value.trim() ? "" : at.value >= 0 && hits.length ? `${(at.value % hits.length) + 1} of ${hits.length}`
    : here === hits.length ? `${here} found` : `${here} of ${hits.length} in view`;
  const ask = (text: string) => {
    at.value = -1;
    view.query.value = text;
  };
  return (
    <div class="find">
      <label><span class="hidden">Find a node</span>
        <input id="query" ref={input} type="search" placeholder="Find a label, token or address" autocomplete="off" spellcheck={false} value={view.query.value}
          onInput={(e) => ask(e.currentTarget.value)}
          onKeyDown={(e) => {
            if (e.key === "Escape") {
              ask("");
              input.current!.blur();
            }
            if (e.key !== "Enter" || !hits.length) return;
            at.value = (at.value + (e.shiftKey ? hits.length - 1 : 1) + (at.value < 0 && e.shiftKey ? 1 : 0)) % hits.length;
            view.go(hits[at.value]!);
          }} /></label>
      <output id="found" aria-live="polite">{told}</output>
    </div>
  );
}
