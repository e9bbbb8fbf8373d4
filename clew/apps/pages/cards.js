"use strict";
// What is known of a node, as a card. Everything from the data is set as text or as a number, never as markup.

const data = JSON.parse(document.getElementById("data").textContent);
const graph = document.getElementById("graph");
const SVG = graph.namespaceURI;
const at = (id) => document.getElementById(id);

function build(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}
const html = (tag, attributes = {}, ...children) => build(document.createElement(tag), attributes, children);
const draw = (tag, attributes = {}, ...children) => build(document.createElementNS(SVG, tag), attributes, children);
const signed = (x) => (x < 0 ? "−" : "+") + size(Math.abs(x));
const size = (x) => (x === 0 ? "0" : x >= 0.001 && x < 1e5 ? String(Number(x.toPrecision(3))) : x.toExponential(1));
const signOf = (x) => (x < 0 ? "minus" : "plus");
const clip = (text, n) => (text.length > n ? text.slice(0, n - 1) + "…" : text);
const shown = (token) => (token.trim() === "" ? token.replace(/\n/g, "⏎").replace(/\t/g, "⇥").replace(/ /g, "␣") : token.replace(/\n/g, "⏎"));
const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;
const quoted = (tokens) => (tokens?.length ? `“${shown(tokens[0]).trim()}”` : "");

// --- The circuit, as records -------------------------------------------------------------------

const circuit = data.circuit;
const details = circuit.details || {};
const OUTPUT = -1, ERROR = -1, ANYWHERE = -1;
const siteNames = circuit.sites.map((s) => s.site);
const lookup = (table, key) => (table && Object.hasOwn(table, key) ? table[key] : undefined);
// Of a unit that was not looked at there is no list, of one that was and did not fire an empty one.
const listed = (table, key) => { const told = lookup(table, key); return told === undefined ? undefined : [].concat(told).map(String); };

const nodes = circuit.nodes.score.map((score, i) => {
  const site = circuit.nodes.site[i], unit = circuit.nodes.unit[i], position = circuit.nodes.position[i];
  const key = `${siteNames[site]}/${unit === ERROR ? "error" : unit}`;
  const part = siteNames[site].split(".")[0];
  return {
    i, site, unit, position, key, score: score ?? 0, weight: Math.abs(score ?? 0), into: [], outof: [],
    address: key + (position === ANYWHERE ? "" : `@${position}`),
    name: data.names[i],
    label: (lookup(data.said, key) ?? [])[0]?.brief ?? "", said: lookup(data.said, key) ?? [],
    group: lookup(data.groups, key + (position === ANYWHERE ? "" : `@${position}`)) ?? "",
    tokens: listed(details.top_tokens, key), promotes: listed(details.promotes, key),
    examples: [].concat(lookup(details.examples, key) ?? []),
    shape: unit === ERROR ? "error" : circuit.kind.of === "components" || part === "head" || part === "neuron" ? "square" : "circle",
  };
});
const ranked = [...nodes].sort((a, b) => b.weight - a.weight);
ranked.forEach((node, rank) => (node.rank = rank));

// Units are nodes without their positions, effects summed.
const units = new Map();
for (const node of ranked) {
  const unit = units.get(node.key);
  if (unit) { unit.score += node.score; unit.nodes.push(node); } else units.set(node.key, { ...node, address: node.key, nodes: [node] });
}
const unitList = [...units.values()].sort((a, b) => Math.abs(b.score) - Math.abs(a.score));

// --- Cards -------------------------------------------------------------------------------------

const chips = (tokens, most) => html("div", { class: "chips" }, ...tokens.slice(0, most).map((t) => html("span", { class: "chip" }, shown(t))));

// What it fires on, what it promotes, where: the same on the card beside the graph and in the list below.
function known(one, most, context = true) {
  const block = (name, ...rest) => html("div", {}, html("h3", {}, name), ...rest);
  const plain = (text) => html("p", { class: "unnamed" }, text);
  if (one.unit === ERROR) return [plain("What the dictionary leaves out at this site; it has no tokens of its own.")];
  const parts = [];
  if (one.tokens === undefined && circuit.kind.of === "components") parts.push(plain("Reads the stream; what comes of it is written by its head or MLP."));
  else if (one.tokens === undefined) parts.push(plain("No text was read for it, so nothing is known of what it fires on."));
  else if (!one.tokens.length) parts.push(plain("Fires on nothing that was read."));
  else parts.push(block("Fires most on", chips(one.tokens, most)));
  if (one.promotes?.length) parts.push(block("Promotes", chips(one.promotes, most)));
  if (context && one.examples.length) parts.push(block("In context", ...one.examples.slice(0, 3).map(example)));
  return parts;
}

function effect(one) {
  return html("div", { class: `effect ${signOf(one.score)}` }, html("b", {}, signed(one.score)),
    one.score < 0 ? "opposes the behaviour" : "supports the behaviour");
}

const named = (one) => one.label || one.group || one.name;
const title = (one) => html("div", {},
  html("p", { class: one.label || one.group ? "label" : "label unnamed" }, one.said[0]?.text ?? named(one)), ...tests(one.said[0]),
  ...one.said.slice(1).flatMap((other) => [html("p", { class: "label other" }, other.text), ...tests(other)]));
// A name is shown with how it was tested; of one that nobody tested that is said.
const tests = (label) => !label?.kind ? [] : [html("p", { class: "tested", title: label.all }, `${label.kind}, ${label.tested || "not tested"}`)];

// An example is a text with its token between « and », or {tokens, values} with one value per token.
function example(item) {
  const line = html("div", { class: "example" });
  const mark = (text, heat) => {
    const part = html("mark", {}, text);
    part.style.setProperty("--heat", `${Math.round(heat)}%`);
    return part;
  };
  if (typeof item !== "object" || item === null || !Array.isArray(item.tokens)) {
    const [before, rest = ""] = String(item).split(/«(.*)/s), [here, after] = rest.split(/»(.*)/s);
    if (after === undefined) line.append(String(item));
    else line.append(before, mark(here, 40), after);
  } else {
    const values = (item.values ?? []).map(Number), most = Math.max(...values, 1e-9);
    item.tokens.forEach((token, k) => line.append(values[k] > 0 ? mark(String(token), 12 + 58 * (values[k] / most)) : String(token)));
  }
  return line;
}

// --- The list ----------------------------------------------------------------------------------

const FIRST = 20;

function list() {
  const judged = judging ? judging.order.map((key) => units.get(key)).filter(Boolean) : unitList;
  at("units-title").textContent = judging ? `${plural(judged.length, "unit")} to judge` : `The strongest of ${plural(judged.length, "unit")}`;
  at("units").hidden = !judged.length;
  const show = (most) => {
    at("list").replaceChildren(...judged.slice(0, most).map(entry));
    at("more").hidden = judged.length <= most;
  };
  at("more").addEventListener("click", () => show(Infinity));
  show(judging ? Infinity : FIRST);
}

function entry(unit) {
  const many = unit.nodes.length > 1 ? [html("div", { class: "effect" }, `summed over ${plural(unit.nodes.length, "position")}`)] : [];
  const parts = known(unit, 12, Boolean(judging));
  const card = html("article", { tabindex: 0, "data-address": unit.key, "aria-label": unit.name },
    html("div", { class: "who" }, html("div", { class: "address" }, unit.key), title(unit), effect(unit), ...many, ...(judging ? [verdictOf(unit.key)] : [])),
    html("div", { class: judging ? "what" : "what brief" }, ...parts));
  card.addEventListener("focus", () => hold(unit.nodes[0]));
  return card;
}
