import { useEffect } from "preact/hooks";
import { get } from "../api";
import { useAsking } from "../asking";
import { Asked, Wrong } from "../parts/Asked";
import { Title } from "../parts/Title";
import { href, note, params } from "../route";
import { items, itemsOf } from "../state";
import type { Bundle } from "../../circuit/types";
import { Shown } from "./Shown";

/** A circuit, or two held side by side; without one that is chosen, those there are. */
export function CircuitPage() {
  const listed = itemsOf("circuit");
  const only = listed.length === 1 ? listed[0]!.path : "";
  const { path = only, with: other = "" } = params.value;
  const item = items.value?.find((one) => one.path === path);
  const circuit = useAsking((signal, a: string, b: string) => (b ? get<Bundle>("circuit/diff", { a, b }, signal) : get<Bundle>("circuit", { path: a }, signal)));
  useEffect(() => {
    if (path && !item?.problem) void circuit.run(path, other);
  }, [path, other]);
  useEffect(() => {
    if (only && !params.peek().path) note({ path: only });
  }, [only]);
  const bundle = circuit.answer.value;
  if (!path || item?.problem) return <Choose path={path} problem={item?.problem} />;
  return (
    <>
      <Title text={bundle?.title ?? path}>{bundle?.words}</Title>
      <Asked of={circuit} what={`reading ${path}`} />
      {bundle && <Shown key={`${path} ${other}`} bundle={bundle} path={path} other={other} />}
    </>
  );
}

function Choose({ path, problem }: { path: string; problem: string | null | undefined }) {
  const circuits = itemsOf("circuit");
  return (
    <>
      <Title text={path || "Circuit"}>{circuits.length ? "Choose a circuit." : "There is no circuit here yet; find one on the first page."}</Title>
      <Wrong said={problem} />
      <ul class="list">
        {circuits.map((one) => (
          <li key={one.path}>
            <a href={href("circuit", { path: one.path })}>{one.title || one.path}</a>
            {one.about && <p>{one.about}</p>}
            <p class="soft mono">{one.path}</p>
          </li>
        ))}
      </ul>
    </>
  );
}
