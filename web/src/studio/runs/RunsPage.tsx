import { Title } from "../parts/Title";
import { runs } from "../state";
import { RunCard } from "./RunCard";

export function RunsPage() {
  const listed = [...runs.value].sort((a, b) => Number(open(b.state)) - Number(open(a.state)));
  return (
    <>
      <Title text="Runs">What takes long, here or before; each with the command that repeats it in a terminal.</Title>
      {listed.length === 0 && <p class="empty">Nothing has run yet. Find a circuit on the first page, and it will be listed here.</p>}
      <div class="runs">
        {listed.map((run) => (
          <RunCard key={run.id} run={run} />
        ))}
      </div>
    </>
  );
}

const open = (state: string): boolean => state === "running" || state === "waiting";
