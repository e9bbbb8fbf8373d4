import { Context } from "../../card/Known";
import { Named } from "../../card/UnitCard";
import { Bars } from "../parts/Bars";
import { Section } from "../parts/Section";
import { brief, percent, shown } from "../parts/words";
import type { Band, TokenValue, Unit } from "../types";
import { Histogram } from "./Histogram";

/** All that is known of a unit; of what is not known, why. */
export function Known({ unit }: { unit: Unit }) {
  return (
    <div>
      <Section title="What it is called">
        <Named of={{ address: unit.address, name: unit.words, label: "", said: unit.labels.map((label) => ({ ...label, brief: label.text, all: label.origin })) }} />
        {unit.labels.length === 0 && <p class="soft">Nobody has named it here.</p>}
      </Section>
      <Section title="What it does to the next token">
        <Why unit={unit} part="raises" />
        <div class="sides">
          {unit.raises && <Moved title="Raises" tokens={moving(unit.raises)} />}
          {unit.lowers && <Moved title="Lowers" tokens={moving(unit.lowers)} />}
        </div>
      </Section>
      <Section title="When it fires" aside={unit.density !== null && <span class="soft">at {percent(unit.density)} of positions</span>}>
        <Why unit={unit} part="bands" />
        {unit.histogram && <Histogram bins={unit.histogram} />}
        {unit.bands?.map((band) => <InBand key={band.low} band={band} />)}
      </Section>
    </div>
  );
}

function Why({ unit, part }: { unit: Unit; part: string }) {
  const why = unit.why?.[part];
  return why ? <p class="empty">Not known: {why.replaceAll("`", "")}.</p> : null;
}

const moving = (tokens: readonly TokenValue[]): TokenValue[] => tokens.filter(({ value }) => (value ?? 0) !== 0);

function Moved({ title, tokens }: { title: string; tokens: readonly TokenValue[] }) {
  if (!tokens.length) return <p class="empty">{title} no token directly.</p>;
  const rows = tokens.map(({ token, value }) => ({ name: <span class="mono">{shown(token)}</span>, value: value ?? 0, said: brief(value) }));
  return <Bars head={[title, "Logit"]} rows={rows} />;
}

/** Texts in which it fires as strongly as a band of firings says. */
function InBand({ band }: { band: Band }) {
  return (
    <>
      <h3>
        {brief(band.low)} to {brief(band.high)}, {brief(band.count)} firings
      </h3>
      {band.contexts.map(({ tokens }, i) => (
        <Context key={i} example={{ tokens: tokens.map(({ token }) => token), values: tokens.map(({ value }) => Math.abs(value ?? 0)) }} />
      ))}
    </>
  );
}
