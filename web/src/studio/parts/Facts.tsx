import { words } from "./words";

/** A record as names and texts, one below the other. */
export function Facts({ of }: { of: unknown }) {
  const facts = flat(of);
  return (
    <dl class="facts">
      {facts.map(([name, text], i) => (
        <div key={i}>
          <dt>{words(name)}</dt>
          <dd>{text}</dd>
        </div>
      ))}
    </dl>
  );
}

const LISTED = 20;

function flat(value: unknown, name = ""): [string, string][] {
  if (value === null || value === undefined) return [];
  if (Array.isArray(value)) {
    if (value.length === 0) return [];
    const shown = value.slice(0, LISTED).map((one) => (typeof one === "object" && one !== null ? JSON.stringify(one) : String(one)));
    return [[name, [...shown, ...(value.length > LISTED ? [`and ${value.length - LISTED} more`] : [])].join(", ")]];
  }
  if (typeof value === "object") return Object.entries(value).flatMap(([key, inner]) => flat(inner, `${name} ${key}`.trim()));
  return [[name, String(value)]];
}
