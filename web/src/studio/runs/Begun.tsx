import { useEffect, useRef } from "preact/hooks";
import { runs } from "../state";
import { RunCard } from "./RunCard";

/** The run that was begun here, which comes into sight and gets the focus as soon as it is there. */
export function Begun({ id }: { id: string | undefined }) {
  const box = useRef<HTMLDivElement>(null);
  const run = runs.value.find((one) => one.id === id);
  useEffect(() => {
    box.current?.focus({ preventScroll: true });
    box.current?.scrollIntoView({ block: "center" });
  }, [run?.id]);
  return run ? (
    <div ref={box} class="begun" tabIndex={-1}>
      <RunCard run={run} />
    </div>
  ) : null;
}
