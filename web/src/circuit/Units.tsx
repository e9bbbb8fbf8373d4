import { useSignal } from "@preact/signals";
import { Known } from "../card/Known";
import { Effect, Named } from "../card/UnitCard";
import { plural } from "../card/words";
import type { Item } from "./graph";
import { Verdict } from "./Verdict";
import type { View } from "./view";

const FIRST = 20;

interface Unit {
  key: string;
  score: number;
  nodes: Item[];
}

/** Units are nodes without their positions, effects summed; strongest first. */
export function unitsOf(ranked: readonly Item[]): Map<string, Unit> {
  const units = new Map<string, Unit>();
  for (const item of ranked) {
    const unit = units.get(item.key) ?? units.set(item.key, { key: item.key, score: 0, nodes: [] }).get(item.key)!;
    unit.score += item.score;
    unit.nodes.push(item);
  }
  return new Map([...units].sort(([, a], [, b]) => Math.abs(b.score) - Math.abs(a.score)));
}

/** The strongest units, or those to judge, each with what is known of it. */
export function Units({ view }: { view: View }) {
  const all = useSignal(false), units = unitsOf(view.base.value.ranked), { judging } = view;
  const listed = judging ? judging.units.value.flatMap((unit) => units.get(unit.address) ?? []) : [...units.values()];
  const most = judging || all.value ? listed.length : FIRST;
  if (!listed.length) return null;
  return (
    <section id="units" aria-labelledby="units-title">
      <div class="heading"><h2 id="units-title">{judging ? `${plural(listed.length, "unit")} to judge` : `The strongest of ${plural(listed.length, "unit")}`}</h2></div>
      <div id="list">{listed.slice(0, most).map((unit) => <Entry key={unit.key} view={view} unit={unit} />)}</div>
      {listed.length > most && <button id="more" type="button" onClick={() => (all.value = true)}>Show all</button>}
    </section>
  );
}

function Entry({ view, unit }: { view: View; unit: Unit }) {
  const first = unit.nodes[0]!, judged = view.judging?.of.value.get(unit.key);
  return (
    <article tabIndex={0} data-address={unit.key} data-verdict={judged?.verdict ?? ""} aria-label={first.name} onFocus={() => (view.held.value = first.address)}>
      <div class="who">
        <div class="address">{unit.key}</div>
        <Named of={first} />
        <Effect score={unit.score} error={unit.nodes.length === 1 ? first.error : null} />
        {unit.nodes.length > 1 && <div class="effect">{`summed over ${plural(unit.nodes.length, "position")}`}</div>}
        {judged && <Verdict view={view} address={unit.key} />}
      </div>
      <div class={judged ? "what" : "what brief"}><Known facts={first} most={12} contexts={judged ? 3 : 0} components={view.data.circuit.kind.of === "components"} /></div>
    </article>
  );
}
