import { useEffect } from "preact/hooks";
import { get } from "../api";
import { useAsking } from "../asking";
import { Wrong } from "../parts/Asked";
import { type Look, withView } from "../seen";
import type { Unit } from "../types";

/** What a unit is called, beside its address; or that there is none of it. */
export function Called({ look, address }: { look: Look; address: string }) {
  const unit = useAsking((signal) => withView(look, signal, ({ id }) => get<Unit>("unit", { view: id, address }, signal)));
  useEffect(() => void unit.run(), [address, JSON.stringify(look)]);
  const known = unit.answer.value;
  return (
    <>
      {known && <span class="soft">{known.labels[0]?.text ?? known.words}</span>}
      <Wrong said={unit.problem.value} />
    </>
  );
}
