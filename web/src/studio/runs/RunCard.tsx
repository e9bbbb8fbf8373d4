import type { ComponentChildren } from "preact";
import { send } from "../api";
import { useAsking } from "../asking";
import { Asked } from "../parts/Asked";
import { Command } from "../parts/Command";
import { roughly, span } from "../parts/words";
import { href } from "../route";
import { items, met } from "../state";
import type { Run } from "../types";
import { pageOf } from "./pages";
import { usePassed } from "./passed";

const WORDS: Record<Run["state"], string> = {
  waiting: "waits for its turn", running: "at work", done: "done", failed: "failed", cancelled: "cancelled", stopped: "stopped",
};

/** A long job: how far it is, what can be done about it, what it made, and the command that repeats it. */
export function RunCard({ run, children }: { run: Run; children?: ComponentChildren }) {
  const open = run.state === "running" || run.state === "waiting";
  const cancel = useAsking(async (signal) => {
    const now = await send<Run>("DELETE", `runs/${run.id}`, {}, undefined, signal);
    if (open) met(now);
  });
  const resume = useAsking(async (signal) => met(await send<Run>("POST", `runs/${run.id}/resume`, {}, {}, signal)));
  const again = run.resumes && run.state !== "done";
  return (
    <article class={`run ${run.state}`} aria-label={run.title}>
      <div class="heading">
        <h3>{run.title}</h3>
        <span class="state">{WORDS[run.state]}</span>
      </div>
      {open && <Far run={run} />}
      {run.error && <p class="wrong">{run.error}</p>}
      <div class="row">
        {open && (
          <button type="button" onClick={() => void cancel.run()}>
            Cancel
          </button>
        )}
        {again && (
          <button type="button" onClick={() => void resume.run()}>
            {run.state === "failed" ? "Try again" : "Resume"}
          </button>
        )}
        {run.result && <Result path={run.result} />}
        {children}
        {!open && <span class="soft">{span(run.seconds)}</span>}
        {!open && (
          <button type="button" class="quiet" onClick={() => void cancel.run()}>
            Take off the list
          </button>
        )}
      </div>
      <Asked of={cancel} what="cancelling" />
      <Asked of={resume} what="resuming" />
      {run.command && <Command text={run.command} />}
    </article>
  );
}

function Far({ run }: { run: Run }) {
  const known = run.total > 0;
  const share = known ? run.done / run.total : undefined;
  const passed = usePassed(run);
  const left = run.left === null ? "" : `, ${roughly(Math.max(0, run.left - passed))} left`;
  return (
    <>
      <progress max={1} value={share} aria-label={`How far ${run.title} is`} />
      <p class="soft">
        {known ? `${Math.round(100 * share!)} %, ` : ""}
        {span(run.seconds + passed)} so far{left}
        {run.said && ` · ${run.said}`}
      </p>
    </>
  );
}

function Result({ path }: { path: string }) {
  const kind = items.value?.find((item) => item.path === path)?.kind;
  const page = pageOf(kind ?? "", path);
  return page ? <a href={href(page.view, page.params)}>Open {path}</a> : <span class="mono soft">{path}</span>;
}
