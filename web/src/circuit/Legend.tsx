import type { ComponentChildren } from "preact";
import { outline } from "./shapes";
import type { Shape } from "./graph";
import type { View } from "./view";

/** What colours, shapes and rings mean; only of what there is. */
export function Legend({ view }: { view: View }) {
  const graph = view.graph.value, { data } = view;
  const has = (shape: Shape) => graph.ranked.some((item) => item.shape === shape);
  const most: Shape = has("circle") ? "circle" : "square", several = (has("circle") && has("square")) || has("error");
  return (
    <figcaption class="legend" id="legend">
      {data.sides ? (
        <>
          <Entry icon={<Icon shape={most} of="side-a" />}>only {data.sides.names[0]}</Entry>
          <Entry icon={<Icon shape={most} of="side-b" />}>only {data.sides.names[1]}</Entry>
          <Entry icon={<Icon shape={most} of="side-both" />}>both</Entry>
        </>
      ) : (
        <>
          <Entry icon={<Icon shape={most} of="plus" />}>supports</Entry>
          <Entry icon={<Icon shape={most} of="minus" />}>opposes</Entry>
        </>
      )}
      {has("circle") && several && <Entry icon={<Icon shape="circle" of="neutral" />}>{data.unit}</Entry>}
      {has("square") && <Entry icon={<Icon shape="square" of="neutral" />}>{data.circuit.kind.of === "components" ? "part of the model" : data.unit}</Entry>}
      {has("error") && <Entry icon={<Icon shape="error" of="neutral" />}>error: what the dictionary leaves out</Entry>}
      {has("group") && <Entry icon={<Icon shape="group" of="neutral" />}>supernode</Entry>}
      {view.judging && <><Entry icon={<Ring of="keep" />}>kept</Entry><Entry icon={<Ring of="drop" />}>dropped</Entry></>}
      <span>larger and darker: stronger</span>
      {!data.sides && data.prompts.length > 1 && <span>supports: changed to what it is on the patch prompt it weakens the behaviour, be it that it fires on the clean one or is silent there</span>}
      {graph.ranked.some((item) => item.tokens?.length) && <span>“word”: what it fires on most</span>}
    </figcaption>
  );
}

const Entry = ({ icon, children }: { icon: ComponentChildren; children: ComponentChildren }) => <span>{icon}<span>{children}</span></span>;

const Icon = ({ shape, of }: { shape: Shape; of: string }) => (
  <svg class={of} viewBox="-8 -8 16 16" aria-hidden="true"><path d={outline(shape, shape === "group" ? 5 : 6.5)} fill="var(--sign)" fill-opacity={of === "neutral" ? 0.6 : 0.8} /></svg>
);

const Ring = ({ of }: { of: string }) => (
  <svg viewBox="-8 -8 16 16" aria-hidden="true"><circle r={5} fill="none" stroke={`var(--${of})`} stroke-width={3} /></svg>
);
