import { useEffect } from "preact/hooks";
import { get } from "../api";
import { useAsking } from "../asking";
import { Asked } from "../parts/Asked";
import { Facts } from "../parts/Facts";
import type { EditsShown } from "../types";

/** The edits that a file holds, and what is said of them. */
export function Held({ path }: { path: string }) {
  const held = useAsking((signal) => get<EditsShown>("edits", { path }, signal));
  useEffect(() => void held.run(), [path]);
  const known = held.answer.value;
  return (
    <>
      <Asked of={held} what={`reading ${path}`} />
      {known && (
        <details>
          <summary>
            {known.name || path}: {known.edits.length === 1 ? "one edit" : `${known.edits.length} edits`}
          </summary>
          <ul class="notes">
            {known.edits.map((edit, i) => (
              <li key={i}>{edit}</li>
            ))}
          </ul>
          <Facts of={known.about} />
        </details>
      )}
    </>
  );
}
