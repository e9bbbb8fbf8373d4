import { Section } from "../parts/Section";
import { brief } from "../parts/words";
import { href, params } from "../route";
import type { Near as One, Unit } from "../types";

const WAYS: Record<string, string> = { decoder: "They write alike", cofiring: "They fire together" };

/** Below this two units have nothing to do with each other. */
const LEAST = 0.01;

/** Units that are like this one. */
export function Near({ unit }: { unit: Unit }) {
  const near = (unit.nearest ?? []).filter(({ alike }) => alike >= LEAST);
  const ways = [...new Set(near.map(({ by }) => by))];
  if (!near.length) return null;
  return (
    <Section title="Nearest units">
      {ways.map((way) => (
        <Way key={way} title={WAYS[way] ?? way} units={near.filter(({ by }) => by === way)} />
      ))}
    </Section>
  );
}

function Way({ title, units }: { title: string; units: readonly One[] }) {
  return (
    <>
      <h3>{title}</h3>
      <ul class="lines">
        {units.map(({ address, alike, label }) => (
          <li key={address}>
            <a href={href("unit", { ...params.value, address })}>{label || <span class="mono">{address}</span>}</a>
            {label && <span class="mono soft"> {address}</span>} <span class="soft">{alike.toFixed(2)}</span>
          </li>
        ))}
      </ul>
    </>
  );
}

/** The circuits in which it is a node. */
export function Stands({ unit }: { unit: Unit }) {
  return (
    <Section title="Circuits it stands in">
      {unit.circuits.length === 0 && <p class="empty">None of this folder.</p>}
      <ul class="lines">
        {unit.circuits.map(({ path, title, score }) => (
          <li key={path}>
            <a href={href("circuit", { path })}>{title || path}</a> <span class="soft">score {brief(score)}</span>
          </li>
        ))}
      </ul>
    </Section>
  );
}
