import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { plural, shown } from "../card/words";
import type { Browse } from "./browse";
import { parsed, knownUnits, type Row, type Sort } from "./find";
import { number } from "./words";

const FIRST = 60;
export const COLUMNS: readonly (readonly [sort: Sort, name: string, means: string])[] = [
  ["size", "Contexts", "how many there are of it in the text"],
  ["faithfulness", "Faithfulness", "how much of the answers' likelihood its circuit alone keeps: 1 is the whole model"],
  ["silhouette", "Silhouette", "how much nearer its contexts are to each other than to the next behaviour's, −1 to 1"],
  ["fit", "Name fit", "harmonic mean of the name's precision and recall"],
];

/** The behaviours that are left, so many at a time. */
export function List({ browse }: { browse: Browse }) {
  const rows = browse.found.value, most = useSignal(FIRST), { sort, query, trivial, joined } = browse.asked.value;
  useEffect(() => void (most.value = FIRST), [query, sort, trivial, joined]);
  if (!rows.length) return <Nothing browse={browse} />;
  const on = browse.chosen.value;
  return (
    <section aria-label="Behaviours" class="behaviours" onKeyDown={walked}>
      <table>
        <thead>
          <tr>
            <th scope="col">Behaviour</th>
            {COLUMNS.map(([name, text, means]) => (
              <th key={name} scope="col" class={name === sort ? "by" : ""} aria-sort={name === sort ? "descending" : "none"} title={means}>
                <button type="button" onClick={() => browse.ask({ sort: name })}>{text}</button>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{rows.slice(0, most.value).map((row) => <One key={row.of.id} browse={browse} row={row} sort={sort} on={row.of.id === on} />)}</tbody>
      </table>
      {rows.length > most.value && <button type="button" class="more" onClick={() => (most.value += 4 * FIRST)}>{`Show ${Math.min(4 * FIRST, rows.length - most.value)} more of ${rows.length}`}</button>}
    </section>
  );
}

function One({ browse, row, sort, on }: { browse: Browse; row: Row; sort: Sort; on: boolean }) {
  const { of, title, faithfulness, fit } = row, cells: Record<Sort, string> = { size: String(of.like.size), faithfulness: number(faithfulness), silhouette: number(of.like.silhouette), fit: number(fit) };
  return (
    <tr class={on ? "on" : ""}>
      <th scope="row">
        <button type="button" aria-current={on ? "true" : undefined} onClick={() => browse.choose(of.id)}>
          {shown(title)}
          {of.like.trivial && <em> trivial</em>}
          {of.same_as !== null && <em> joined</em>}
        </button>
      </th>
      {COLUMNS.map(([name]) => <td key={name} class={name === sort ? "by" : ""}>{cells[name]}</td>)}
    </tr>
  );
}

/** Up and down from behaviour to behaviour. */
function walked(event: KeyboardEvent) {
  const line = (event.target as Element).closest("tbody tr"), to = { ArrowDown: line?.nextElementSibling, ArrowUp: line?.previousElementSibling }[event.key];
  const button = to?.querySelector("button");
  if (!button) return;
  button.focus();
  event.preventDefault();
}

/** Why there is nothing, and what to do. */
function Nothing({ browse }: { browse: Browse }) {
  const { query, trivial, joined } = browse.asked.value, { words, units } = parsed(query, knownUnits(browse.data));
  const why = [...words.map((word) => `“${word}”`), ...units];
  return (
    <section aria-label="Behaviours" class="nothing">
      <p>{browse.rows.length === 0 ? "This atlas has no behaviour: no cluster was left. Give clew atlas more text, or let more places of it in." : `No behaviour${trivial && joined ? "" : " that is not hidden"} ${why.length ? `has ${why.join(" and ")}` : "is left"}.`}</p>
      {query && <p>A search looks in names, answers and contexts for all of its words; a unit by its address, as in resid.15/300, is looked for among the {browse.data.nodes} strongest nodes of each circuit.</p>}
      <div class="acts">
        {query && <button type="button" onClick={() => browse.ask({ query: "" })}>Clear the search</button>}
        {(!trivial || !joined) && <button type="button" onClick={() => browse.ask({ trivial: true, joined: true })}>Show what is hidden</button>}
      </div>
    </section>
  );
}

const SERVED = 100;

/** Which units serve many behaviours. */
export function Features({ browse }: { browse: Browse }) {
  const every = browse.features.value, most = useSignal(SERVED), asked = browse.sought.value.trim().toLowerCase();
  const all = asked ? every.filter(({ address }) => address.toLowerCase().includes(asked) || (browse.data.units[address] ?? "").toLowerCase().includes(asked)) : every;
  const largest = every[0]?.serves.length ?? 1;
  return (
    <section aria-label="Features" class="behaviours features">
      <p class="intro">{`The units that are among the ${browse.data.nodes} strongest nodes of the most circuits. One that serves many behaviours tells little about each.`}</p>
      {!all.length && <p class="intro">{every.length ? `No unit is called “${asked}”. Search by part of an address, as in resid.15, or of a name.` : "No behaviour here has a circuit."}</p>}
      {all.length > 0 && <table>
        <thead><tr><th scope="col">Unit</th><th scope="col" class="by">Behaviours</th></tr></thead>
        <tbody>
          {all.slice(0, most.value).map(({ address, serves }) => (
            <tr key={address}>
              <th scope="row"><button type="button" title="Show the behaviours it serves" onClick={() => browse.byUnit(address)}><UnitName browse={browse} address={address} /></button></th>
              <td class="by"><i class="bar" style={{ "--share": serves.length / largest }} aria-hidden="true" /><span title={plural(serves.length, "behaviour")}>{serves.length}</span></td>
            </tr>
          ))}
        </tbody>
      </table>}
      {all.length > most.value && <button type="button" class="more" onClick={() => (most.value += 4 * SERVED)}>{`Show ${Math.min(4 * SERVED, all.length - most.value)} more of ${all.length}`}</button>}
    </section>
  );
}

/** The address of a unit, and what it is called. */
export function UnitName({ browse, address }: { browse: Browse; address: string }) {
  const name = browse.data.units[address];
  return <span class="unit" title={name}><span class="address">{address}</span>{name && <> {name}</>}</span>;
}
