import { useSignal } from "@preact/signals";
import { plural } from "../card/words";
import type { View } from "./view";

/** Over the drawing while something is selected: make one supernode of it, pin it, or let it go. */
export function Selection({ view }: { view: View }) {
  const name = useSignal(""), many = view.selected.value.length;
  if (!many) return null;
  return (
    <form class="selection" aria-label="The selection" onSubmit={(e) => {
      e.preventDefault();
      view.group(name.value);
      name.value = "";
      (document.querySelector("#stage .stage") as HTMLElement | null)?.focus({ preventScroll: true });
    }}>
      <output>{`${plural(many, "node")} selected`}</output>
      <input id="group-name" aria-label="Name of the supernode" placeholder="Name of a supernode" autocomplete="off" value={name.value} onInput={(e) => (name.value = e.currentTarget.value)} />
      <button type="submit" disabled={many < 2} title="G">Group</button>
      <button type="button" onClick={() => (view.pinned.value = [...new Set([...view.pinned.value, ...view.selected.value])])}>Pin</button>
      <button type="button" onClick={() => (view.selected.value = [])}>Clear</button>
    </form>
  );
}

/** The supernodes, where there are any or some can be found. */
export function Groups({ view }: { view: View }) {
  const groups = view.groups.value, seeks = useSignal(false), failed = useSignal(""), { autogroup } = view.on;
  if (!groups.length && !autogroup) return null;
  const seek = async () => {
    seeks.value = true;
    failed.value = "";
    try {
      view.changed(await autogroup!());
    } catch (error) {
      failed.value = error instanceof Error ? error.message : String(error);
    }
    seeks.value = false;
  };
  return (
    <section id="groups" aria-labelledby="groups-title">
      <div class="heading">
        <h2 id="groups-title">Supernodes</h2>
        {groups.length > 0 && <label class="fold"><input type="checkbox" checked={view.fold.value} onChange={(e) => (view.fold.value = e.currentTarget.checked)} /> fold</label>}
      </div>
      <ul>
        {groups.map((group) => (
          <li key={group.name}>
            <button type="button" class="plain" title="Select its nodes" onClick={() => (view.selected.value = view.fold.value ? [`supernode ${group.name}`] : group.members.filter((m) => view.items.value.has(m)))}>{group.name}</button>
            <em>{plural(group.members.length, "node")}{group.accepted === true ? ", act as one" : group.accepted === false ? ", do not act as one" : ""}</em>
            <button type="button" class="plain" aria-label={`Rename ${group.name}`} title="Rename" onClick={() => {
              view.fold.value = true;
              const item = view.found(`supernode ${group.name}`);
              if (item) view.go(item);
            }}>✎</button>
            <button type="button" class="plain" aria-label={`Ungroup ${group.name}`} title="Ungroup" onClick={() => view.ungroup(group.name)}>×</button>
          </li>
        ))}
      </ul>
      {autogroup && <button type="button" disabled={seeks.value} onClick={seek}>{seeks.value ? "Grouping…" : "Group automatically"}</button>}
      {failed.value && <p class="failed" role="alert">{failed.value}</p>}
    </section>
  );
}
