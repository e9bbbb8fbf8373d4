import { useEffect } from "preact/hooks";
import { get } from "../api";
import { useAsking } from "../asking";
import { Asked } from "../parts/Asked";
import { Curve } from "../parts/Curve";
import { Section } from "../parts/Section";
import { Title } from "../parts/Title";
import { brief } from "../parts/words";
import type { Cell, Row } from "../types";

/** Searches for circuits side by side: how much each finds, with intervals, and what it took. */
export function ComparisonPage({ path }: { path: string }) {
  const comparison = useAsking((signal) => get<{ cells: Cell[] }>("comparison", { path }, signal));
  useEffect(() => void comparison.run(), [path]);
  const cells = comparison.answer.value?.cells ?? [];
  return (
    <>
      <Title text="A comparison of methods">{path}</Title>
      <Asked of={comparison} what={`reading ${path}`} />
      {groups(cells).map(([title, rows]) => (
        <Section key={title} title={title}>
          <div class="scroll" tabIndex={0} role="region" aria-label={title}>
            <Searches cells={rows} />
          </div>
          <div class="plots">
            {rows.filter((cell) => cell.sizes.length > 1 && !cell.failed).map((cell) => (
              <div key={cell.key}>
                <h3>{named(cell)}</h3>
                <Curve rows={curve(cell)} label={`Faithfulness of ${named(cell)}`} />
              </div>
            ))}
          </div>
        </Section>
      ))}
    </>
  );
}

const named = (cell: Cell): string => [cell.search, cell.select].filter(Boolean).join(", ").replaceAll("_", " ");

function groups(cells: readonly Cell[]): [string, Cell[]][] {
  const found = new Map<string, Cell[]>();
  for (const cell of cells) {
    const title = `${cell.behaviour}, ${cell.unit}s of ${cell.model}`;
    found.set(title, [...(found.get(title) ?? []), cell]);
  }
  return [...found];
}

/** Its faithfulness by size, in the order in which sizes are ranked. */
function curve(cell: Cell): Row[] {
  return (cell.report.rows ?? []).filter((row) => row.measure === "f").map((row) => ({ ...row, nodes: row.nodes ?? null }));
}

const AREAS: readonly (readonly [measure: string, of: string, means: string])[] = [
  ["CPR", "signed", "area under f; the model has 1"],
  ["CMD", "absolute", "area between f and 1; 0 is best"],
];

function Searches({ cells }: { cells: readonly Cell[] }) {
  return (
    <table class="numbers">
      <thead>
        <tr>
          <th scope="col">Search</th>
          {AREAS.map(([measure, , means]) => (
            <th key={measure} scope="col">
              {measure} <small class="soft">{means}</small>
            </th>
          ))}
          <th scope="col">Forwards</th>
          <th scope="col">Backwards</th>
          <th scope="col">Seconds</th>
        </tr>
      </thead>
      <tbody>
        {cells.map((cell) => (
          <tr key={cell.key}>
            <th scope="row">
              {named(cell)}
              {cell.flags.map((flag) => (
                <small key={flag} class="soft flag">
                  {flag}
                </small>
              ))}
            </th>
            {cell.failed ? (
              <td colSpan={AREAS.length} class="wrong">
                failed: {cell.failed}
              </td>
            ) : (
              AREAS.map(([measure, of]) => <td key={measure}>{valued((cell.report.rows ?? []).find((row) => row.measure === measure && row.of === of))}</td>)
            )}
            {["forwards", "backwards", "seconds"].map((name) => (
              <td key={name}>{brief(cell.cost[name])}</td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

const valued = (row: Row | undefined): string =>
  row ? `${brief(row.value)}${row.low === null || row.high === null ? "" : ` [${brief(row.low)}, ${brief(row.high)}]`}` : "–";
