import { Context } from "../../card/Known";
import { Named } from "../../card/UnitCard";
import { Bars } from "../parts/Bars";
import { Prose } from "../parts/Prose";
import { Section } from "../parts/Section";
import { brief, percent, shown } from "../parts/words";
import type { Look } from "../seen";
import type { Band, TokenValue, Unit } from "../types";
import { Histogram } from "./Histogram";
import { Indexing } from "./Indexing";
import { Told } from "./Told";

/** All that is known of a unit; of what is not known, why, and how it can be. Args: again: asks once more. */
export function Known({ unit, look, again }: { unit: Unit; look: Look; again: () => void }) {
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
        {unit.bands?.length === 0 && <p class="empty">Nowhere in the text of which the index was made.</p>}
        {unit.histogram && <Histogram bins={unit.histogram} />}
        {joined(unit.bands ?? []).map((band, i) => <InBand key={i} band={band} />)}
        {!unit.bands && <Told of={unit.circuits} />}
        {!unit.bands && <Indexing look={look} done={again} />}
      </Section>
    </div>
  );
}

function Why({ unit, part }: { unit: Unit; part: string }) {
  const why = unit.why?.[part];
  return why ? <p class="empty">Not known: <Prose text={why} />.</p> : null;
}

const moving = (tokens: readonly TokenValue[]): TokenValue[] => tokens.filter(({ value }) => (value ?? 0) !== 0);

function Moved({ title, tokens }: { title: string; tokens: readonly TokenValue[] }) {
  if (!tokens.length) return <p class="empty">{title} no token directly.</p>;
  const rows = tokens.map(({ token, value }) => ({ name: <span class="mono">{shown(token)}</span>, value: value ?? 0, said: brief(value) }));
  return <Bars head={[title, "Logit"]} rows={rows} />;
}

const bounds = ({ low, high }: Band): string => (brief(low) === brief(high) ? brief(low) : `${brief(low)} to ${brief(high)}`);

/** Bands, those together that are called alike. */
function joined(bands: readonly Band[]): Band[] {
  const found = new Map<string, Band>();
  for (const band of bands) {
    const before = found.get(bounds(band));
    found.set(bounds(band), before ? { ...before, count: before.count + band.count, contexts: [...before.contexts, ...band.contexts] } : band);
  }
  return [...found.values()].map((band) => ({ ...band, contexts: distinct(band.contexts) }));
}

const distinct = (contexts: Band["contexts"]): Band["contexts"] =>
  [...new Map(contexts.map((one) => [JSON.stringify(one), one])).values()];

/** Texts in which it fires as strongly as a band of firings says. */
function InBand({ band }: { band: Band }) {
  return (
    <>
      <h3>
        {bounds(band)}: {brief(band.count)} {band.count === 1 ? "firing" : "firings"}
      </h3>
      {band.contexts.map(({ tokens }, i) => (
        <Context key={i} example={{ tokens: tokens.map(({ token }) => token), values: tokens.map(({ value }) => Math.abs(value ?? 0)) }} />
      ))}
    </>
  );
}
