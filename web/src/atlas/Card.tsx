import { plural, shown, signed, signOf } from "../card/words";
import type { Browse } from "./browse";
import { isError, likeness, shared, type Row } from "./find";
import { UnitName } from "./List";
import { Shares } from "./Shares";
import type { Behaviour } from "./types";
import { checked, fits, number, percent } from "./words";

const NGRAMS = ["answer", "last token and answer", "last two tokens and answer"];

/** All that is known of a behaviour. */
export function Card({ browse, row, alone = true }: { browse: Browse; row: Row; alone?: boolean }) {
  const { of, title } = row, { like, circuit } = of;
  const whole = circuit && browse.on.circuit?.(of.id);
  return (
    <article class="behaviour" aria-label={title}>
      <div class="address">{`behaviour ${of.id}`}</div>
      <h2>{shown(title)}</h2>
      {like.trivial && <p class="flag">Trivial: a table of pairs of tokens would do as well.</p>}
      {of.same_as !== null && <p class="flag">Joined with <Other browse={browse} id={of.same_as} />: their circuits are nearly one.</p>}
      <p class="told">{fits(of)}</p>
      {alone && (
        <div class="acts">
          <button type="button" aria-pressed={browse.beside.value === of.id} onClick={() => browse.hold(browse.beside.peek() === of.id ? null : of.id)}>Compare</button>
          {whole && <a class="button" href={whole}>Open the circuit</a>}
        </div>
      )}
      {alone && browse.beside.value === of.id && <p class="flag" role="status">Choose another behaviour, on the map, in the list or below, to see both side by side.</p>}
      {!alone && whole && <div class="acts"><a class="button" href={whole}>Open the circuit</a></div>}

      <h3>In context</h3>
      <Contexts browse={browse} of={of} />
      <h3>Answers</h3>
      <div class="chips">{of.answers.map(([token, times]) => <span key={token} class="chip">{shown(token).trim()} <small>{times}</small></span>)}</div>
      <dl>
        <dt>Contexts</dt><dd>{`${like.size}, of ${plural(like.documents, "document")}`}</dd>
        <dt>Silhouette</dt><dd>{number(like.silhouette)}</dd>
        <dt>Entropy of the answers</dt><dd>{`${number(like.entropy)} nats`}</dd>
      </dl>
      <h3>Share of the most common</h3>
      <Measured rows={like.ngrams.map((share, i) => ({ name: NGRAMS[i] ?? `last ${i} tokens and answer`, share }))} />

      {circuit ? (
        <>
          <h3>Contexts changed by rule</h3>
          {checked(circuit.checks).map((line) => <p key={line} class="line">{line}</p>)}
          <Shares of={circuit} />
          <h3>Strongest nodes</h3>
          <Nodes browse={browse} of={of} />
        </>
      ) : <p class="line">It has no circuit: it has too few contexts to find one on and judge it on, or finding it failed.</p>}
      {of.near.length > 0 && (
        <>
          <h3>Like circuits</h3>
          <ul>{of.near.map(([id, cosine]) => <li key={id}><Other browse={browse} id={id} /><span title="cosine of the scores of their nodes">{number(cosine)}</span></li>)}</ul>
        </>
      )}
    </article>
  );
}

function Other({ browse, id }: { browse: Browse; id: number }) {
  const row = browse.byId.get(id);
  return row ? <button type="button" class="plain" onClick={() => browse.choose(id)}>{shown(row.title)}</button> : null;
}

function Contexts({ browse: { data }, of }: { browse: Browse; of: Behaviour }) {
  return (
    <>
      {of.examples.map(({ text, answer, source }, i) => (
        <p key={i} class="example" title={data.sources.length > 1 ? `from ${data.sources[source]}` : undefined}>{text.trimStart()}<mark>{answer.trim() ? answer : shown(answer)}</mark></p>
      ))}
      {data.hidden.length > 0 && <p class="line">{`Contexts of ${data.hidden.join(", ")} are not shown here.`}</p>}
      {!of.examples.length && !data.hidden.length && <p class="line">No context was kept.</p>}
    </>
  );
}

const Measured = ({ rows }: { rows: readonly { name: string; share: number }[] }) => (
  <table class="measured"><tbody>{rows.map(({ name, share }) => <tr key={name}><th scope="row">{name}</th><td><i class="bar" style={{ "--share": share }} aria-hidden="true" /><span>{percent(share)}</span></td></tr>)}</tbody></table>
);

const LISTED = 12;

function Nodes({ browse, of }: { browse: Browse; of: Behaviour }) {
  const { nodes, scored, edges } = of.circuit!, most = Math.max(1e-300, ...nodes.map(([, score]) => Math.abs(score)));
  const line = ([address, score]: readonly [string, number]) => (
    <tr key={address}>
      <th scope="row">{isError(address) ? <span class="address">{address}</span> : <button type="button" class="plain" title="Show the behaviours it serves" onClick={() => browse.byUnit(address)}><UnitName browse={browse} address={address} /></button>}</th>
      <td class={signOf(score)}><i class="bar" style={{ "--share": Math.abs(score) / most }} aria-hidden="true" /><span>{signed(score)}</span></td>
    </tr>
  );
  return (
    <>
      <table class="measured nodes"><tbody>{nodes.slice(0, LISTED).map(line)}</tbody></table>
      {nodes.length > LISTED && <details><summary>{`${nodes.length - LISTED} more`}</summary><table class="measured nodes"><tbody>{nodes.slice(LISTED).map(line)}</tbody></table></details>}
      <p class="line">{`${plural(scored, "node")} had an effect; ${plural(edges, "edge")} among those that were kept.`}</p>
    </>
  );
}

/** Two behaviours side by side, first what their circuits have both. */
export function Compared({ browse, a, b }: { browse: Browse; a: Row; b: Row }) {
  const both = shared(a, b), alike = likeness(a.of, b.of);
  const [left, right] = [a, b].map(({ of }) => Math.max(1e-300, ...(of.circuit?.nodes ?? []).map(([, score]) => Math.abs(score)))) as [number, number];
  return (
    <section class="compared" aria-label="Side by side">
      <div class="heading">
        <h2>Side by side</h2>
        <button type="button" onClick={() => browse.hold(null)}>Stop comparing</button>
      </div>
      <p class="told">
        {!a.of.circuit || !b.of.circuit ? "One of them has no circuit, so there are no nodes to compare."
          : `${both.length ? `${plural(both.length, "node")} of ${a.of.circuit.nodes.length} and ${b.of.circuit.nodes.length} shown ${both.length === 1 ? "is" : "are"} in both circuits` : "No node that is shown is in both circuits"}${alike === undefined ? "" : `; the cosine of their scores is ${number(alike)}`}.`}
      </p>
      {both.length > 0 && (
        <div class="scroll" tabIndex={0} role="region" aria-label="Nodes in both">
          <table class="measured nodes both">
            <thead><tr><th scope="col">Node in both</th><th scope="col">{shown(a.title)}</th><th scope="col">{shown(b.title)}</th></tr></thead>
            <tbody>
              {both.map((one) => (
                <tr key={one.address}>
                  <th scope="row">{isError(one.address) ? <span class="address">{one.address}</span> : <button type="button" class="plain" onClick={() => browse.byUnit(one.address)}><UnitName browse={browse} address={one.address} /></button>}</th>
                  {([[one.a, left], [one.b, right]] as const).map(([score, most], i) => <td key={i} class={signOf(score)}><i class="bar" style={{ "--share": Math.abs(score) / most }} aria-hidden="true" /><span>{signed(score)}</span></td>)}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <div class="pair-of">
        <Card browse={browse} row={a} alone={false} />
        <Card browse={browse} row={b} alone={false} />
      </div>
    </section>
  );
}
