import { useEffect, useMemo } from "preact/hooks";
import { send } from "../api";
import { carried, carry } from "../carried";
import { Wrong } from "../parts/Asked";
import { go } from "../route";
import { asParams } from "../seen";
import { about, items, listed } from "../state";
import { CircuitView } from "../../circuit/CircuitView";
import type { Bundle, CircuitFile, On, Supernode } from "../../circuit/types";
import { linkOf } from "./link";
import { behaviourOf, lookOf } from "./lookOf";
import { Made, Prompts } from "./Made";
import { useSaving } from "./saving";
import { Tools } from "./Tools";

interface Given {
  bundle: Bundle;
  path: string;
  /** Another circuit that it is held beside; empty where there is none. */
  other: string;
}

const OFFERED = 30;

/** The addresses of its strongest units, without positions. */
function strongest({ sites, nodes }: CircuitFile): string[] {
  const size = (i: number) => Math.abs(nodes.score[i] ?? 0);
  const ranked = nodes.unit.map((_, i) => i).filter((i) => nodes.unit[i]! >= 0).sort((i, j) => size(j) - size(i));
  return [...new Set(ranked.map((i) => `${sites[nodes.site[i]!]!.site}/${nodes.unit[i]!}`))].slice(0, OFFERED);
}

/** The view of a circuit, whose changes are saved, and what else can be done with it. */
export function Shown({ bundle, path, other }: Given) {
  const look = lookOf(bundle.circuit);
  const link = useMemo(() => linkOf(path), [path]);
  const saving = useSaving(path, bundle.tag ?? "");
  useEffect(() => {
    carry("verify", { claim: path });
    const change = carried("change");
    const [clean = "", patch = ""] = bundle.prompts.map(({ text }) => text);
    carry("change", { ...change, clean, patch, offered: strongest(bundle.circuit).join(","), prompt: change.prompt || clean, behaviour: change.behaviour || behaviourOf(bundle.circuit.provenance) });
  }, [path, about.value !== null && items.value !== null]);
  const unit = async (address: string) => {
    await listed();
    go("unit", { ...asParams(lookOf(bundle.circuit)), address: address.split("@")[0]! });
  };
  const autogroup = async () => (await send<{ supernodes: Supernode[] }>("POST", "circuit/groups", {}, { path }, new AbortController().signal)).supernodes;
  const on: On = other ? { unit } : { unit, autogroup, label: saving.labels, groups: saving.groups, verdicts: saving.verdicts };
  const { text, wrong } = saving.said.value;
  return (
    <>
      <Prompts of={bundle.prompts} />
      <Tools bundle={bundle} path={path} other={other} look={look} />
      {wrong ? <Wrong said={text} /> : text && <p class="soft saved">{text}</p>}
      <CircuitView data={bundle} on={on} link={link} />
      <Made bundle={bundle} />
    </>
  );
}
