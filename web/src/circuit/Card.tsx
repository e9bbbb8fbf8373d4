import { useEffect, useRef } from "preact/hooks";
import { hundredths, plural, signed } from "../card/words";
import { UnitCard } from "../card/UnitCard";
import { colourOf, inBrief, isGoal, isUnit, placeOf, type Edge, type Item } from "./graph";
import { visit } from "./keys";
import { Verdict } from "./Verdict";
import type { View } from "./view";

const TIES = 5;

/** What is known of the node that is looked at: the one under the pointer, else the held one. */
export function Card({ view }: { view: View }) {
  const item = view.focus.value, box = useRef<HTMLElement>(null);
  useFit(box);
  useEffect(() => {
    box.current!.scrollTop = 0;
    document.body.classList.toggle("looking", Boolean(item));
  }, [item]);
  return <section id="card" aria-live="polite" aria-label="What is looked at" ref={box}>{!view.counts.nodes ? <Empty /> : item ? <Of view={view} item={item} /> : <Hints />}</section>;
}

function Of({ view, item }: { view: View; item: Item }) {
  const graph = view.graph.value;
  if (isGoal(item)) return <><div class="address">metric</div><p class="label">{item.label}</p><div class="effect">what the behaviour measures</div><Ties view={view} title="Comes from" ties={item.into} end="from" /></>;
  const group = item.members.length > 0, held = view.held.value === item.address;
  const place = group ? `${item.name} · rank ${item.rank + 1} of ${graph.ranked.length}` : `${placeOf(graph, item)} · rank ${item.rank + 1} of ${graph.ranked.length}`;
  return (
    <>
      {group ? <SupernodeCard view={view} item={item} place={place} /> : (
        <UnitCard of={item} place={place} components={view.data.circuit.kind.of === "components"} rename={isUnit(item) && held ? (text) => view.rename(item, text) : undefined}>
          {item.group && item.label && <p class="unnamed">{item.group}</p>}
          {item.sides && view.data.sides && <OfBoth names={view.data.sides.names} a={item.sides.a} b={item.sides.b} />}
        </UnitCard>
      )}
      {held && <Acts view={view} item={item} />}
      {view.judging?.of.value.has(item.key) && <><h3>Verdict</h3><Verdict view={view} address={item.key} /></>}
      <Ties view={view} title="Comes from" ties={item.into} end="from" />
      <Ties view={view} title="Goes to" ties={item.outof} end="to" />
    </>
  );
}

function SupernodeCard({ view, item, place }: { view: View; item: Item; place: string }) {
  const group = view.groups.value.find((one) => one.name === item.label), similarity = group?.similarity;
  return (
    <UnitCard of={{ ...item, address: "supernode" }} place={place} rename={view.held.value === item.address ? (text) => view.rename(item, text) : undefined}>
      {typeof similarity === "number" && <p class="unnamed">{`Its two members that are least alike have similarity ${hundredths(similarity)}.`}</p>}
      <h3>{plural(item.members.length, "member")}</h3>
      <ul class="members">{item.members.map((member) => <li key={member.address}><span>{inBrief(view.base.value, { ...member, group: "" })}</span><em>{signed(member.score)}</em></li>)}</ul>
    </UnitCard>
  );
}

function Acts({ view, item }: { view: View; item: Item }) {
  const pinned = view.pinned.value.includes(item.address), chosen = view.selected.value.includes(item.address);
  return (
    <div class="acts" role="group" aria-label={`Actions on ${item.address}`}>
      <button type="button" aria-pressed={pinned} title="P" onClick={() => view.pin(item)}>{pinned ? "Pinned" : "Pin"}</button>
      <button type="button" aria-pressed={chosen} title="X" onClick={() => view.pick(item)}>{chosen ? "Selected" : "Select"}</button>
      {view.on.unit && isUnit(item) && <button type="button" onClick={() => view.on.unit!(item.key)}>Open the unit</button>}
    </div>
  );
}

const OfBoth = ({ names, a, b }: { names: [string, string]; a: number | null; b: number | null }) => (
  <dl class="both"><dt>{names[0]}</dt><dd class="side-a">{a === null ? "does not have it" : signed(a)}</dd><dt>{names[1]}</dt><dd class="side-b">{b === null ? "does not have it" : signed(b)}</dd></dl>
);

function Ties({ view, title, ties, end }: { view: View; title: string; ties: readonly Edge[]; end: "from" | "to" }) {
  const strongest = view.graph.value.strongest;
  if (!ties.length) return null;
  return (
    <>
      <h3>{ties.length > TIES ? `${title}, the strongest ${TIES} of ${ties.length}` : title}</h3>
      <div class="ties">
        {ties.slice(0, TIES).map((edge) => {
          const other = edge[end], words = isGoal(other) ? other.label : inBrief(view.graph.value, other);
          return (
            <button key={other.i} type="button" title={other.name} onClick={() => visit(view, other)}>
              <i class={colourOf(edge, edge.weight)} style={{ width: `${Math.max(3, 56 * (edge.strength / strongest))}px` }} />
              <span>{words}</span>
              <em title={edge.error === null ? undefined : `standard error ${edge.error.toPrecision(2)}`}>{signed(edge.weight)}</em>
            </button>
          );
        })}
      </div>
    </>
  );
}

const Empty = () => <><h2>An empty circuit</h2><p class="unnamed">No node was kept; lower the threshold or keep more nodes.</p></>;

const Hints = () => (
  <>
    <h2>Follow the thread</h2>
    <p class="unnamed">Rows are layers, first at the bottom. Point at a node to see what it does and what it is tied to; click to hold it. Drag to move, turn the wheel to zoom, hold Shift and drag to select.</p>
    <p class="unnamed keyed">
      <kbd>←</kbd> <kbd>→</kbd> <kbd>↑</kbd> <kbd>↓</kbd> walk, <kbd>Enter</kbd> holds, <kbd>Esc</kbd> lets go, <kbd>/</kbd> finds, <kbd>P</kbd> pins, <kbd>X</kbd> selects, <kbd>G</kbd> groups,{" "}
      <kbd>F</kbd> folds groups, <kbd>+</kbd> <kbd>−</kbd> <kbd>0</kbd> zoom.
    </p>
  </>
);

/** The card ends where the window does; what is longer scrolls inside it. */
function useFit(box: { current: HTMLElement | null }) {
  useEffect(() => {
    const fit = () => {
      const card = box.current;
      if (!card) return; // the view was left
      const from = Math.max(0, card.getBoundingClientRect().top);
      card.style.maxHeight = matchMedia("(max-width: 980px)").matches ? "" : `${Math.max(160, innerHeight - from - 16)}px`;
    };
    fit();
    addEventListener("scroll", fit, { passive: true });
    addEventListener("resize", fit);
    return () => {
      removeEventListener("scroll", fit);
      removeEventListener("resize", fit);
    };
  }, []);
}
