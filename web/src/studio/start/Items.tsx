import { href } from "../route";
import { pageOf } from "../runs/pages";
import type { Item } from "../types";

const KINDS: readonly (readonly [kind: string, title: string])[] = [
  ["atlas", "Atlases"], ["circuit", "Circuits"], ["report", "Reports"], ["comparison", "Comparisons"], ["edits", "Edits"], ["index", "Indexes"], ["labels", "Labels"],
  ["verdicts", "Verdicts"], ["behaviour", "Behaviours"], ["dictionary", "Dictionaries"], ["model", "Models"], ["replication", "Run again"],
];

/** What the folder holds, by kind; what cannot be read says why. */
export function Items({ items }: { items: readonly Item[] }) {
  const whole = items.filter((item) => !item.problem);
  const broken = items.filter((item) => item.problem);
  const known = new Set(KINDS.map(([kind]) => kind));
  return (
    <section aria-label="What is here" class="items">
      {KINDS.map(([kind, title]) => (
        <Group key={kind} title={title} items={whole.filter((item) => item.kind === kind)} />
      ))}
      <Group title="Other" items={whole.filter((item) => !known.has(item.kind))} />
      <Group title="Cannot be read" items={broken} />
    </section>
  );
}

function Group({ title, items }: { title: string; items: readonly Item[] }) {
  if (!items.length) return null;
  return (
    <>
      <h2>{title}</h2>
      <ul class="list">
        {items.map((item) => (
          <One key={item.path} item={item} />
        ))}
      </ul>
    </>
  );
}

function One({ item }: { item: Item }) {
  const page = item.problem ? null : pageOf(item.kind, item.path);
  const name = item.title || item.path;
  return (
    <li>
      {page ? <a href={href(page.view, page.params)}>{name}</a> : <b>{name}</b>}
      {item.problem ? <p class="wrong">{item.problem}</p> : item.about && <p>{item.about}</p>}
      <p class="soft">
        {name !== item.path && <span class="mono">{item.path}</span>} {size(item.bytes)}, {when(item.modified)}
      </p>
    </li>
  );
}

function size(bytes: number): string {
  const [value, unit] = bytes < 1e3 ? [bytes, "bytes"] : bytes < 1e6 ? [bytes / 1e3, "kB"] : bytes < 1e9 ? [bytes / 1e6, "MB"] : [bytes / 1e9, "GB"];
  return `${value < 10 && unit !== "bytes" ? value.toFixed(1) : Math.round(value)} ${unit}`;
}

const when = (seconds: number): string => new Date(1000 * seconds).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
