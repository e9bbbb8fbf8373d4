import { useEffect } from "preact/hooks";
import { get } from "../api";
import { useAsking } from "../asking";
import { Asked } from "../parts/Asked";
import { Curve } from "../parts/Curve";
import { Facts } from "../parts/Facts";
import { Intervals, type Scale, scaleOf } from "../parts/Intervals";
import { Section } from "../parts/Section";
import { Title } from "../parts/Title";
import { brief, plural, span, words } from "../parts/words";
import type { Report, Row } from "../types";

/** A report: its numbers drawn and as a table, what a reader must know of them, and how they were got. */
export function ReportPage({ path }: { path: string }) {
  const report = useAsking((signal) => get<Report>("report", { path }, signal));
  useEffect(() => void report.run(), [path]);
  const known = report.answer.value;
  return (
    <>
      <Title text={known?.title ?? path}>{known && path}</Title>
      <Asked of={report} what={`reading ${path}`} />
      {known && (
        <>
          {known.sizes.length > 1 ? <Curves rows={known.rows} /> : <Lines rows={known.rows} />}
          {known.notes.length > 0 && (
            <Section title="What to know of these numbers">
              <ul class="notes">
                {known.notes.map((note, i) => (
                  <li key={i}>{note}</li>
                ))}
              </ul>
            </Section>
          )}
          <Section title="How this was made">
            <p class="soft">{record(known.provenance) || `Put together from ${known.rows.length} numbers.`}</p>
            <details>
              <summary>The whole record</summary>
              <Facts of={known.provenance} />
            </details>
          </Section>
        </>
      )}
    </>
  );
}

/** By what, on what and in how long. */
function record({ method, behaviour, model, seconds }: Record<string, unknown>): string {
  const name = (value: unknown): string => (typeof value === "object" && value !== null && "name" in value ? String(value.name) : String(value));
  const said = [method && `By ${words(name(method))}`, behaviour && `on ${name(behaviour)}`, model && `in ${name(model)}`].filter(Boolean).join(" ");
  return said && `${said}${typeof seconds === "number" ? `, in ${span(seconds)}` : ""}.`;
}

function measures(rows: readonly Row[]): [string, Row[]][] {
  const found = new Map<string, Row[]>();
  for (const row of rows) found.set(row.measure, [...(found.get(row.measure) ?? []), row]);
  return [...found];
}

/** The same measured of several sizes: a curve for each measure. */
function Curves({ rows }: { rows: readonly Row[] }) {
  return (
    <div class="plots">
      {measures(rows).map(([measure, some]) => (
        <Section key={measure} title={words(measure)}>
          <Curve rows={some} label={words(measure)} />
          <Numbers rows={some} label={words(measure)} />
        </Section>
      ))}
    </div>
  );
}

/** What shares of the whole model's behaviour say. */
const MEANS: Record<string, string> = {
  faithfulness: "the behaviour that the circuit alone has: 1 is the whole model, 0 is nothing",
  completeness: "the behaviour that is left without the circuit: 0 is ideal",
};

/** How far over its ends a measure may be and still be drawn from 0 to 1. */
const OVER = 0.5;

/** From 0 to 1, or a little more where they are a little more; null for what is not measured in shares. */
function shares(rows: readonly Row[]): Scale | null {
  const [least, most] = scaleOf(rows) ?? [0, Infinity];
  return least >= -OVER && most <= 1 + OVER ? [least, Math.max(1, most)] : null;
}

/** Numbers of their own: a line with its interval for each; all shares on one scale, anything else on that of its measure. */
function Lines({ rows }: { rows: readonly Row[] }) {
  const found = measures(rows);
  const shared = shares(found.flatMap(([, some]) => (shares(some) ? some : [])));
  return (
    <Section title="What was measured">
      {found.map(([measure, some]) => (
        <div key={measure}>
          <h3>
            {words(measure)}
            {MEANS[measure] && `, ${MEANS[measure]}`}
          </h3>
          <Intervals label={words(measure)} scale={shares(some) ? shared : scaleOf(some)} rows={some.map((row) => ({ ...row, name: [row.of, size(row)].filter(Boolean).join(", ") || words(measure) }))} />
        </div>
      ))}
      <Numbers rows={rows} label="What was measured" />
    </Section>
  );
}
const size = (row: Row): string => (row.nodes === null ? "" : plural(row.nodes, row.unit));

const HEAD = ["Measure", "Of", "Size", "Value", "95 % interval", "Examples"];

function Numbers({ rows, label }: { rows: readonly Row[]; label: string }) {
  return (
    <details>
      <summary>The numbers</summary>
      <div class="scroll">
        <table class="numbers" aria-label={label}>
          <thead>
            <tr>
              {HEAD.map((head) => (
                <th key={head} scope="col">
                  {head}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((row, i) => (
              <tr key={i}>
                <th scope="row">{words(row.measure)}</th>
                <td>{row.of || "–"}</td>
                <td>{size(row) || "–"}</td>
                <td>{brief(row.value)}</td>
                <td>{row.low === null || row.high === null ? "none" : `${brief(row.low)} to ${brief(row.high)}`}</td>
                <td>{row.examples || "–"}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}
