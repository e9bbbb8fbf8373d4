
// --- The graph, and what it is measured by ------------------------------------------------------------

const goal = { goal: true, i: OUTPUT, into: [], outof: [], rank: -1, address: "metric", label: String(details.metric ?? "metric"), name: "metric", group: "", said: [], examples: [] };
const edges = circuit.edges.weight.map((weight, i) => {
  const from = nodes[circuit.edges.source[i]], target = circuit.edges.target[i];
  const to = target === OUTPUT ? goal : nodes[target];
  const edge = { from, to, weight: weight ?? 0, strength: Math.abs(weight ?? 0) };
  from.outof.push(edge);
  to.into.push(edge);
  return edge;
}).sort((a, b) => b.strength - a.strength);
for (const end of [...nodes, goal]) for (const ties of [end.into, end.outof]) ties.sort((a, b) => b.strength - a.strength);

const aligned = nodes.some((n) => n.position !== ANYWHERE);
const said = circuit.kind.prompt?.tokens ?? details.tokens ?? [];
const words = aligned ? [...Array(Math.max(...nodes.map((n) => n.position + 1), said.length)).keys()]
  .map((p) => String(said[p] ?? p)) : [];
if (aligned && nodes.some((n) => n.position === ANYWHERE)) words.push("everywhere");
const columnOf = (node) => (!aligned ? 0 : node.position === ANYWHERE ? words.length - 1 : node.position);

const view = { size: 1, edges: 0, held: null, over: null, query: "" };

// --- Where things stand ------------------------------------------------------------------------

const ROW = 20, TOP = 30, LEFT = 92, TIES = 5;

function arrange(visible, lines) {
  const width = Math.max(320, graph.parentElement.clientWidth - 2);
  const columns = Math.max(1, words.length);
  const cells = new Map();
  for (const node of visible) {
    const row = cells.get(node.site) ?? cells.set(node.site, Array.from({ length: columns }, () => [])).get(node.site);
    row[columnOf(node)].push(node);
  }
  const sites = [...cells.keys()].sort((a, b) => a - b);

  // Columns are as wide as their fullest cell asks, within what there is.
  const wants = Array.from({ length: columns }, (_, c) => {
    const fullest = Math.max(0, ...sites.map((s) => cells.get(s)[c].length));
    const word = aligned ? Math.min(150, 7.6 * shown(words[c]).length + 16) : 0;
    return Math.max(word, 30 + 24 * Math.min(fullest, 8));
  });
  const room = width - LEFT - 18, asked = wants.reduce((a, b) => a + b, 0);
  let x = LEFT;
  const lanes = wants.map((want) => {
    const lane = { x, width: (want / asked) * room };
    x += lane.width;
    return lane;
  });

  // Within a cell, nodes are staggered from row to row, so that edges pass between them, and drawn some way
  // towards what they are tied to.
  sites.forEach((site, k) => cells.get(site).forEach((cell, c) => {
    const lane = lanes[c], margin = Math.min(aligned ? 16 : 90, lane.width / 4);
    cell.sort((a, b) => a.unit - b.unit || a.i - b.i).forEach((node, j) => {
      const share = (j + ((k + 1) * 0.618034) % 1) / cell.length;
      node.home = node.x = lane.x + margin + share * (lane.width - 2 * margin);
    });
    spread(cell, lane, margin);
  }));
  for (let sweep = 0; sweep < 6; sweep++) {
    for (const site of sweep % 2 ? sites : [...sites].reverse()) cells.get(site).forEach((cell, c) => {
      for (const node of cell) {
        let sum = 0, mass = 0;
        for (const line of lines.get(node) ?? []) {
          const other = line.from === node ? line.to : line.from;
          if (!other.goal) { sum += other.x * line.strength; mass += line.strength; }
        }
        if (mass) node.x = 0.6 * node.home + (0.4 * sum) / mass;
      }
      spread(cell, lanes[c], Math.min(aligned ? 16 : 90, lanes[c].width / 4));
    });
  }

  // Rows, from the bottom up, as high as their fullest cell.
  const foot = aligned ? 40 : 14;
  const rows = sites.map((site) => ({ site, high: (sites.length > 24 ? 8 : sites.length > 9 ? 16 : 30) + ROW * Math.max(...cells.get(site).map((cell) => cell.lines ?? 1)) }));
  const height = rows.reduce((a, r) => a + r.high, 0) + foot + (goal.into.length ? TOP + 34 : 14);
  let y = height - foot;
  for (const row of rows) {
    row.bottom = y;
    y -= row.high;
    row.top = y;
    for (const cell of cells.get(row.site)) for (const node of cell) node.y = row.bottom - row.high / 2 + node.line * ROW;
  }
  goal.x = aligned ? lanes.at(-1).x + lanes.at(-1).width / 2 : LEFT + room / 2;
  goal.x = Math.min(goal.x, width - 20 - goalWidth() / 2);
  goal.y = TOP - 2;
  return { width, height, lanes, rows, foot };
}

// Keeps the nodes of a cell inside its lane and off one another, on several lines when one is too short.
function spread(cell, lane, margin) {
  const low = lane.x + Math.min(margin, 12), high = lane.x + lane.width - Math.min(margin, 12);
  cell.lines = Math.ceil(cell.length / Math.max(1, Math.floor((high - low) / 19) + 1));
  const gap = Math.min(aligned ? 26 : 120, cell.length > 1 ? ((high - low) * cell.lines) / (cell.length - 1) : Infinity);
  cell.sort((a, b) => a.x - b.x);
  const last = Array(cell.lines).fill(-Infinity);
  cell.forEach((node, k) => {
    const line = k % cell.lines;
    node.x = last[line] = Math.max(low, node.x, last[line] + gap);
    node.line = line - (cell.lines - 1) / 2;
  });
  const first = Array(cell.lines).fill(Infinity);
  for (let k = cell.length - 1; k >= 0; k--) {
    const line = k % cell.lines;
    cell[k].x = first[line] = Math.min(high, cell[k].x, first[line] - gap);
  }
}

const goalWidth = () => 26 + 7.4 * Math.min(40, goal.label.length);

// --- Drawing the graph -------------------------------------------------------------------------

const layers = { back: draw("g"), edges: draw("g"), ties: draw("g"), nodes: draw("g"), names: draw("g"), goal: draw("g") };
graph.append(...Object.values(layers));
const heaviest = ranked.length ? ranked[0].weight || 1 : 1, strongest = edges.length ? edges[0].strength || 1 : 1;
const radius = (node) => 3.5 + 6 * Math.sqrt(node.weight / heaviest);

function face(shape, r, attributes) {
  if (shape === "error") return draw("path", { d: `M0 ${-r * 1.15}L${r * 1.1} ${r * 0.85}L${-r * 1.1} ${r * 0.85}Z`, "stroke-linejoin": "round", ...attributes });
  if (shape === "square") return draw("rect", { x: -r * 0.9, y: -r * 0.9, width: r * 1.8, height: r * 1.8, rx: 1.5, ...attributes });
  return draw("circle", { r, ...attributes });
}

function body(node) {
  if (node.element) return node.element;
  const r = radius(node), shade = 0.2 + 0.8 * Math.sqrt(node.weight / heaviest);
  node.element = draw("g", { class: `node ${signOf(node.score)}`, role: "button", tabindex: -1, "aria-label": spoken(node) },
    face(node.shape, r, { class: "back" }), face(node.shape, r, { class: "face", "fill-opacity": shade.toFixed(3) }),
    face(node.shape, r + 3.5, { class: "halo" }));
  node.element.addEventListener("mouseenter", () => look(node));
  node.element.addEventListener("mouseleave", () => look(null));
  node.element.addEventListener("focus", () => look(node));
  node.element.addEventListener("blur", () => look(null));
  node.element.addEventListener("click", () => hold(view.held === node ? null : node));
  return node.element;
}

const spoken = (node) => `${named(node)}, ${place(node)}, effect ${signed(node.score)}`;
const place = (node) => (node.position === ANYWHERE ? "all positions summed" : `at “${shown(words[node.position] ?? "").trim()}”, position ${node.position}`);

function curve(edge, attributes = {}) {
  const { from, to } = edge;
  const y1 = from.y - radius(from), y2 = to.goal ? to.y + 13 : to.y + radius(to);
  const bend = Math.max(18, Math.abs(y1 - y2) * 0.45);
  // An edge that would run straight up through what stands between its ends swings out to one side.
  const swing = Math.abs(from.x - to.x) < 12 && y1 - y2 > 30 ? Math.min(34, (y1 - y2) * 0.12) * (from.i % 2 ? 1 : -1) : 0;
  const points = [[from.x + swing, y1 - bend], [to.x + swing, y2 + bend], [to.x, y2]].map((p) => p.map((v) => v.toFixed(1)).join(" "));
  const d = `M${from.x.toFixed(1)} ${y1.toFixed(1)}C${points.join(" ")}`;
  return draw("path", { class: `edge ${signOf(edge.weight)}`, d, "stroke-width": (0.6 + 4.6 * Math.sqrt(edge.strength / strongest)).toFixed(2), ...attributes });
}

let visible = [], drawn = [], plan = null;

function render() {
  visible = ranked.slice(0, view.size);
  const inside = (end) => end.goal || end.rank < view.size;
  const possible = edges.filter((e) => inside(e.from) && inside(e.to));
  drawn = possible.slice(0, view.edges);
  const lines = new Map();
  for (const edge of possible.slice(0, 2000)) for (const end of [edge.from, edge.to]) {
    if (!lines.has(end)) lines.set(end, []);
    lines.get(end).push(edge);
  }
  plan = arrange(visible, lines);
  graph.setAttribute("viewBox", `0 0 ${plan.width} ${plan.height}`);
  graph.setAttribute("height", plan.height);
  layers.back.replaceChildren(...ground(), ...tokens());
  at("axis").toggleAttribute("hidden", !aligned);
  at("axis").setAttribute("viewBox", `0 ${plan.height - plan.foot} ${plan.width} ${plan.foot}`);
  at("axis").setAttribute("height", plan.foot);
  at("axis").style.marginTop = `${-plan.foot}px`;
  at("axis").replaceChildren(...tokens());
  layers.edges.replaceChildren(...drawn.map((e) => curve(e, { opacity: ((e.to.goal ? 0.55 : 1) * (0.16 + 0.5 * Math.sqrt(e.strength / strongest))).toFixed(3) })).reverse());
  layers.nodes.replaceChildren(...[...visible].reverse().map(body));
  for (const node of visible) node.element.style.transform = `translate(${node.x}px, ${node.y}px)`;
  layers.names.replaceChildren(...names());
  layers.goal.replaceChildren(...finish());
  rove();
  mark();
  attend();
  drawChart();
}

function ground() {
  const parts = [];
  let shade = false, last = null;
  for (const row of plan.rows) {
    const layer = siteNames[row.site].split(".")[1] ?? siteNames[row.site];
    if (layer !== last) { shade = !shade; last = layer; }
    if (shade) parts.push(draw("rect", { class: "band", x: 0, y: row.top, width: plan.width, height: row.high }));
    parts.push(draw("text", { class: "site", x: 16, y: (row.top + row.bottom) / 2 + 4 }, siteNames[row.site]));
  }
  if (!aligned || !plan.rows.length) return parts;
  const top = plan.rows.at(-1).top, bottom = plan.height - plan.foot;
  return [...parts, ...plan.lanes.slice(1).map((lane) => draw("line", { class: "lane", x1: lane.x, x2: lane.x, y1: top, y2: bottom }))];
}

// The words stand at the foot of the graph and again on a bar that stays in view.
const tokens = () => (aligned ? plan.lanes : []).map((lane, c) =>
  draw("text", { class: "word", x: lane.x + lane.width / 2, y: plan.height - 13 }, draw("title", {}, words[c]),
    clip(shown(words[c]).trim(), Math.max(3, Math.floor((lane.width - 6) / 7)))));

// A name is written where it touches no node and no other name, the strongest nodes first.
function names() {
  const taken = visible.map((n) => [n.x - radius(n) - 2, n.y - radius(n), n.x + radius(n) + 2, n.y + radius(n)]);
  const parts = [];
  for (const node of visible) {
    const text = clip(node.label || node.group || (node.shape === "square" && !aligned ? node.name : quoted(node.tokens)), 34);
    if (!text || parts.length >= 80) continue;
    const r = radius(node), long = 6.4 * text.length + 4;
    const spots = [[node.x + r + 5, "start", 0], [node.x - r - 5, "end", -long]];
    for (const [x, anchor, shift] of spots) {
      const box = [x + shift, node.y - 7, x + shift + long, node.y + 7];
      if (box[0] < LEFT - 6 || box[2] > plan.width - 6) continue;
      if (taken.some((t) => t[0] < box[2] && box[0] < t[2] && t[1] < box[3] && box[1] < t[3])) continue;
      taken.push(box);
      const name = draw("text", { class: "name", x, y: node.y + 3.8, "text-anchor": anchor }, text);
      name.node = node;
      parts.push(name);
      break;
    }
  }
  return parts;
}

function finish() {
  if (!goal.into.length) return [];
  const wide = goalWidth();
  const pill = draw("g", { class: "goal" },
    draw("rect", { x: goal.x - wide / 2, y: goal.y - 13, width: wide, height: 26, rx: 13 }),
    draw("text", { x: goal.x, y: goal.y + 4.2 }, clip(goal.label, 40)));
  pill.addEventListener("mouseenter", () => look(goal));
  pill.addEventListener("mouseleave", () => look(null));
  return [pill];
}

// --- Looking at one node -----------------------------------------------------------------------

function look(node) {
  view.over = node;
  attend();
}

function hold(node) {
  if (view.held?.element) view.held.element.classList.remove("held");
  view.held = node;
  if (node?.element) node.element.classList.add("held");
  attend();
}

const matches = (node) => [...node.said.map((s) => s.text), node.group, node.name, node.address, ...(node.tokens ?? []), ...(node.promotes ?? [])].some((t) => t.toLowerCase().includes(view.query));

// Puts the light on the node under the pointer, else the held one, else on what the search found.
function attend() {
  const focus = view.over ?? view.held;
  const alive = (end) => end.goal || end.rank < view.size;
  const ties = focus ? [...focus.into, ...focus.outof].filter((e) => alive(e.from) && alive(e.to)) : [];
  const near = new Set(ties.flatMap((e) => [e.from, e.to])).add(focus);
  layers.edges.classList.toggle("dim", Boolean(focus || view.query));
  layers.ties.replaceChildren(...(plan && focus && alive(focus) ? ties.slice(0, 400).map((e) => curve(e, { opacity: 0.85 })) : []));
  const lit = (node) => (focus ? near.has(node) : !view.query || matches(node));
  for (const node of visible) node.element.classList.toggle("dim", !lit(node));
  for (const name of layers.names.children) name.classList.toggle("dim", !lit(name.node));
  card(focus);
}

function card(node) {
  const box = at("card");
  document.body.classList.toggle("looking", Boolean(node));
  if (!nodes.length) return box.replaceChildren(html("h2", {}, "An empty circuit"), html("p", { class: "unnamed" }, "No node was kept; lower the threshold or keep more nodes."));
  if (!node) {
    const key = (text) => html("kbd", {}, text);
    box.replaceChildren(html("h2", {}, "Follow the thread"),
      html("p", { class: "unnamed" }, "Rows are layers, first at the bottom. Point at a node to see what it does and what it is tied to; click to hold it."),
      html("p", { class: "unnamed" }, key("←"), " ", key("→"), " ", key("↑"), " ", key("↓"), " walk, ", key("Enter"), " holds, ", key("Esc"), " lets go, ", key("/"), " finds."));
    return fit();
  }
  const parts = [html("div", { class: "address" }, node.address), title(node)];
  if (node.goal) parts.push(html("div", { class: "effect" }, "what the behaviour measures"));
  else parts.push(effect(node), html("div", { class: "effect" }, `${place(node)} · rank ${node.rank + 1} of ${nodes.length}`), ...known(node, 8));
  if (judging?.rulings.has(node.key)) parts.push(html("h3", {}, "Verdict"), verdictOf(node.key));
  for (const [title, ties, end] of [["Comes from", node.into, "from"], ["Goes to", node.outof, "to"]]) {
    if (ties.length) parts.push(html("h3", {}, ties.length > TIES ? `${title}, the strongest ${TIES} of ${ties.length}` : title),
      html("div", { class: "ties" }, ...ties.slice(0, TIES).map((edge) => tie(edge, edge[end]))));
  }
  box.replaceChildren(...parts);
  box.scrollTop = 0;
  fit();
}

// The card ends where the window does; what is longer scrolls inside it.
function fit() {
  const box = at("card"), from = Math.max(0, box.getBoundingClientRect().top), narrow = matchMedia("(max-width: 980px)").matches;
  box.style.maxHeight = narrow ? "" : `${Math.max(160, innerHeight - from - 16)}px`;
}

function tie(edge, other) {
  const bar = html("i", { class: signOf(edge.weight) });
  bar.style.width = `${Math.max(3, 56 * (edge.strength / strongest))}px`;
  const line = html("button", { type: "button" }, bar, html("span", { title: other.name }, other.label || other.group || (other.goal ? "" : briefly(other))), html("em", {}, signed(edge.weight)));
  line.addEventListener("click", () => go(other));
  return line;
}

// A node at the other end of an edge, in little room.
const briefly = (node) => [node.shape === "square" ? node.name : node.key, quoted(node.tokens),
  node.position === ANYWHERE ? "" : `at ${shown(words[node.position] ?? "").trim()}`].filter(Boolean).join(" ");

function go(node, scroll = true) {
  if (node.goal) return;
  if (node.rank >= view.size) { resize(node.rank + 1); }
  hold(node);
  rove(node);
  node.element.focus({ preventScroll: !scroll });
  if (scroll) node.element.scrollIntoView({ block: "nearest" });
}

// --- Keyboard ----------------------------------------------------------------------------------

function rove(node = view.held && view.held.rank < view.size ? view.held : visible[0]) {
  for (const other of visible) other.element.setAttribute("tabindex", other === node ? 0 : -1);
}

function step(node, dx, dy) {
  let best = null, cost = Infinity;
  for (const other of visible) {
    const along = (other.x - node.x) * dx + (other.y - node.y) * dy;
    const aside = Math.abs((other.x - node.x) * dy) + Math.abs((other.y - node.y) * dx);
    if (other !== node && along > 0.5 && along + 2.5 * aside < cost) [best, cost] = [other, along + 2.5 * aside];
  }
  if (best) { rove(best); best.element.focus(); }
}

document.addEventListener("keydown", (event) => {
  if (event.target.tagName === "INPUT") {
    if (event.key === "Escape" && event.target.id === "query") { at("query").value = ""; search(); event.target.blur(); }
    return;
  }
  const node = visible.find((n) => n.element === document.activeElement);
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  if (event.key === "/") at("query").focus();
  else if (event.key === "Escape") { hold(null); look(null); document.activeElement.blur(); }
  else if (node && arrows[event.key]) step(node, ...arrows[event.key]);
  else if (node && (event.key === "Enter" || event.key === " ")) hold(view.held === node ? null : node);
  else if (!judgeKey(event)) return;
  event.preventDefault();
});

// --- Tools -------------------------------------------------------------------------------------

// The slider of sizes runs on a log scale, so that 10 and 1000 are equally easy to reach.
const fromSlider = (v) => Math.max(1, Math.round(nodes.length ** (v / 1000)));
const toSlider = (n) => (nodes.length > 1 ? Math.round((1000 * Math.log(n)) / Math.log(nodes.length)) : 1000);

function resize(n) {
  view.size = Math.min(Math.max(1, n), nodes.length);
  at("size").value = toSlider(view.size);
  at("size-is").value = view.size;
  if (view.held && view.held.rank >= view.size) hold(null);
  render();
}

function search() {
  view.query = at("query").value.trim().toLowerCase();
  mark();
  attend();
}

function mark() {
  const hits = view.query ? nodes.filter(matches) : [];
  for (const node of nodes) node.element?.classList.toggle("match", hits.includes(node));
  const here = hits.filter((n) => n.rank < view.size).length;
  at("found").value = !view.query ? "" : here === hits.length ? `${here} found` : `${here} of ${hits.length} in view`;
}

// A copy with its colours written out: what is saved opens anywhere.
function save() {
  const copy = graph.cloneNode(true), keep = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "stroke-linecap", "stroke-linejoin", "opacity", "font-family", "font-size", "font-weight", "text-anchor", "paint-order"];
  const live = graph.querySelectorAll("*"), still = copy.querySelectorAll("*");
  live.forEach((element, k) => {
    const style = getComputedStyle(element);
    for (const name of keep) if (element.tagName !== "g" || name === "opacity") still[k].setAttribute(name, style.getPropertyValue(name));
    for (const name of ["class", "tabindex", "role", "style"]) still[k].removeAttribute(name);
  });
  visible.forEach((node) => still[[...live].indexOf(node.element)].setAttribute("transform", `translate(${node.x} ${node.y})`));
  copy.setAttribute("width", plan.width);
  copy.prepend(draw("rect", { width: "100%", height: "100%", fill: getComputedStyle(at("stage")).backgroundColor }));
  const link = html("a", { download: "circuit.svg" });
  link.href = URL.createObjectURL(new Blob([new XMLSerializer().serializeToString(copy)], { type: "image/svg+xml" }));
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// --- How much it explains ----------------------------------------------------------------------

const rows = data.report ? data.report.rows : [];
const swept = [...new Set(rows.map((r) => r.measure))].filter((m) => new Set(rows.filter((r) => r.measure === m && r.nodes > 0).map((r) => r.nodes)).size > 1);
let measure = swept.includes("faithfulness") ? "faithfulness" : swept[0];
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1).replaceAll("_", " ");

function drawChart() {
  at("measured").hidden = !rows.length;
  if (!rows.length) return;
  at("chart").toggleAttribute("hidden", !measure);
  at("chart-title").textContent = measure ? "How much it explains" : data.report.title;
  at("measures").replaceChildren(...(swept.length > 1 ? swept : []).map((name) => {
    const pick = html("button", { type: "button", "aria-pressed": name === measure }, capital(name));
    pick.addEventListener("click", () => { measure = name; drawChart(); });
    return pick;
  }));
  const single = rows.filter((r) => !swept.includes(r.measure));
  at("numbers").replaceChildren(...single.map((r) => html("p", {}, `${capital(r.measure)} ${r.of}`.trim() + " ", html("b", {}, r.value === null ? "not defined" : size2(r.value)),
    r.low === null || r.high === null ? "" : ` [${size2(r.low)}, ${size2(r.high)}]`)));
  if (!measure) return;

  const chart = at("chart"), W = 304, H = 184, left = 30, right = 12, top = 12, bottom = 34;
  chart.setAttribute("viewBox", `0 0 ${W} ${H}`);
  chart.setAttribute("aria-label", `${capital(measure)} by number of nodes`);
  const mine = rows.filter((r) => r.measure === measure && r.nodes > 0 && r.value !== null);
  const sizes = mine.map((r) => r.nodes), lowest = Math.log(Math.min(...sizes)), highest = Math.log(Math.max(...sizes));
  // A ratio may leave [0, 1]; the axis follows it, up to a point.
  const floor = Math.max(-0.5, Math.min(0, ...mine.map((r) => r.value))), roof = Math.min(1.5, Math.max(1, ...mine.map((r) => r.value)));
  const X = (n) => left + ((Math.log(n) - lowest) / (highest - lowest)) * (W - left - right);
  const Y = (v) => H - bottom - ((Math.min(roof, Math.max(floor, v)) - floor) / (roof - floor)) * (H - top - bottom);
  const parts = [];
  for (const v of [0, 0.5, 1]) parts.push(draw("line", { class: "axis", x1: left, x2: W - right, y1: Y(v), y2: Y(v) }), draw("text", { class: "tick", x: left - 7, y: Y(v) + 3.5, "text-anchor": "end" }, String(v)));
  for (let power = Math.ceil(lowest / Math.LN10 - 1e-9); power <= highest / Math.LN10 + 1e-9; power++) {
    const n = 10 ** power;
    parts.push(draw("line", { class: "axis", x1: X(n), x2: X(n), y1: H - bottom, y2: H - bottom + 4 }), draw("text", { class: "tick", x: X(n), y: H - bottom + 16, "text-anchor": "middle" }, n >= 1e6 ? `${n / 1e6}M` : n >= 1000 ? `${n / 1000}k` : String(n)));
  }
  parts.push(draw("text", { class: "tick", x: (left + W - right) / 2, y: H - 3, "text-anchor": "middle" }, "nodes"));

  const series = [...new Set(mine.map((r) => r.of))].sort((a, b) => b.startsWith("random") - a.startsWith("random"));
  const labels = [];
  for (const of of series) {
    const line = mine.filter((r) => r.of === of).sort((a, b) => a.nodes - b.nodes), known = ["features", "neurons", "heads", "random"];
    const kind = of.startsWith("random") ? "random" : of, group = draw("g", { class: `series ${kind === "random" ? kind : ""}` });
    group.style.setProperty("--series", `var(--${known.includes(kind) ? kind : series.length === 1 ? "features" : "other"})`);
    const banded = line.filter((r) => r.low !== null && r.high !== null);
    const edge = (key) => banded.map((r) => `${X(r.nodes).toFixed(1)},${Y(r[key]).toFixed(1)}`);
    group.append(draw("polygon", { points: [...edge("high"), ...edge("low").reverse()].join(" ") }),
      draw("path", { d: line.map((r, k) => `${k ? "L" : "M"}${X(r.nodes).toFixed(1)} ${Y(r.value).toFixed(1)}`).join("") }),
      ...line.map((r) => draw("circle", { cx: X(r.nodes), cy: Y(r.value), r: 2.4 }, draw("title", {}, `${of || measure}, ${r.nodes} nodes: ${size2(r.value)}${r.low === null || r.high === null ? "" : ` [${size2(r.low)}, ${size2(r.high)}]`}, ${r.examples} examples`))));
    if (of) labels.push({ group, of, line });
    parts.push(group);
  }
  // Each name stands at its own line, where the lines are furthest apart, below the line if above it is taken.
  const written = [];
  const between = (line) => line.slice(1).flatMap((r, k) => [0, 0.25, 0.5, 0.75, 1].map((t) =>
    [X(line[k].nodes) * (1 - t) + X(r.nodes) * t, Y(line[k].value) * (1 - t) + Y(r.value) * t]));
  for (const { group, of, line } of labels) {
    const wide = 6.4 * of.length;
    const spots = line.flatMap((r) => [-1, 0, 1].flatMap((side) => [-9, 4, 17].map((shift) => ({ x: X(r.nodes) + side * (wide / 2 + 8), y: Y(r.value) + shift }))));
    const reach = (s, some) => Math.min(...some.flatMap((other) => between(other.line).map(([x, y]) => Math.hypot(Math.max(0, Math.abs(x - s.x) - wide / 2), y - (s.y - 4)))));
    const clear = (s) => {
      const own = reach(s, labels.filter((l) => l.of === of)), others = reach(s, labels.filter((l) => l.of !== of));
      const names = written.map((t) => Math.max(0, Math.abs(t.x - s.x) - t.wide / 2 - wide / 2) + Math.abs(t.y - s.y));
      const frame = [s.y - 12, H - bottom - s.y, s.x - wide / 2 - left, W - right - s.x - wide / 2, Math.abs(X(view.size) - s.x) - wide / 2];
      return Math.min(own, others - own, ...names, ...frame, 14);
    };
    const spot = spots.reduce((a, b) => (clear(b) > clear(a) ? b : a));
    written.push({ ...spot, wide });
    group.append(draw("text", { x: Math.min(W - right - wide / 2, Math.max(left + wide / 2 + 3, spot.x)), y: spot.y, "text-anchor": "middle" }, of));
  }

  const within = view.size >= Math.min(...sizes) && view.size <= Math.max(...sizes);
  if (within) {
    const x = X(view.size);
    parts.push(draw("line", { class: "here", x1: x, x2: x, y1: top - 4, y2: H - bottom }));
  }
  chart.onclick = (event) => {
    const box = chart.getBoundingClientRect();
    resize(Math.round(Math.exp(lowest + (((event.clientX - box.left) / box.width) * W - left) / (W - left - right) * (highest - lowest))));
  };
  at("numbers").prepend(...measuredHere(mine, series), ...keys(mine, series, within));
  chart.replaceChildren(...parts);
}

// What was measured at the size of the graph, or else at the sizes next to it.
function measuredHere(mine, series) {
  const held = mine.filter((r) => r.of === "features" || series.length === 1).sort((a, b) => a.nodes - b.nodes);
  const exact = held.filter((r) => r.nodes === view.size);
  const near = exact.length ? exact : [held.filter((r) => r.nodes < view.size).at(-1), held.find((r) => r.nodes > view.size)].filter(Boolean);
  return near.map((r) => html("p", {}, `${capital(measure)} of ${plural(r.nodes, "node")} `, html("b", {}, size2(r.value)),
    r.low === null || r.high === null ? "" : ` [${size2(r.low)}, ${size2(r.high)}]`));
}

// What lines and shades of the chart mean.
function keys(mine, series, within) {
  const item = (name, text) => html("span", {}, html("i", { class: name }), text), parts = [];
  if (within) parts.push(item("here", `${plural(view.size, "node")}, as in the graph`));
  if (mine.some((r) => r.low !== null)) parts.push(item("shade", `95 % interval over ${mine[0].examples} prompts`));
  if (series.some((s) => s.startsWith("random"))) parts.push(item("dashed", "drawn at random"));
  return [html("p", { class: "keys" }, ...parts)];
}
const size2 = (x) => x.toFixed(2).replace("-", "−");

// --- Once --------------------------------------------------------------------------------------

function legend() {
  const icon = (shape, cls) => draw("svg", { viewBox: "-8 -8 16 16", class: cls, "aria-hidden": "true" }, face(shape, 5.5, { class: "face", fill: "var(--sign)", "fill-opacity": 0.75 }));
  const item = (mark, text) => html("span", {}, mark, text);
  const has = (shape) => nodes.some((n) => n.shape === shape);
  const parts = [item(icon(has("circle") ? "circle" : "square", "plus"), "supports"), item(icon(has("circle") ? "circle" : "square", "minus"), "opposes")];
  if (has("circle") && (has("square") || has("error"))) parts.push(item(icon("circle", "neutral"), data.unit));
  if (has("square")) parts.push(item(icon("square", "neutral"), circuit.kind.of === "components" ? "part of the model" : data.unit));
  if (has("error")) parts.push(item(icon("error", "neutral"), "error: what the dictionary leaves out"));
  const ring = (verdict) => draw("svg", { viewBox: "-8 -8 16 16", "aria-hidden": "true" }, draw("circle", { r: 5, fill: "none", stroke: `var(--${verdict})`, "stroke-width": 3 }));
  if (judging) parts.push(item(ring("keep"), "kept"), item(ring("drop"), "dropped"));
  parts.push(html("span", {}, "larger and darker: stronger"));
  if (nodes.some((n) => n.tokens?.length)) parts.push(html("span", {}, "“word”: what it fires on most"));
  at("legend").replaceChildren(...parts);
}

function start() {
  at("words").textContent = data.words;
  at("prompts").replaceChildren(...data.prompts.flatMap((one) => [html("dt", {}, one.name), html("dd", {}, `“${one.text}” `,
    ...(one.answers.length ? [html("b", {}, `→ ${one.answers.map((a) => shown(a).trim()).join(", ")}`)] : []))]));
  at("made").replaceChildren(...data.made.map((sentence) => html("p", {}, sentence)));
  at("notes").replaceChildren(...(data.report?.notes ?? []).map((note) => html("li", {}, note)));
  at("noted").hidden = !data.report?.notes.length;
  at("size").min = 0;
  at("size").max = 1000;
  at("edges").max = Math.min(edges.length, 2000);
  at("size").addEventListener("input", () => resize(fromSlider(Number(at("size").value))));
  at("edges").addEventListener("input", () => {
    view.edges = Number(at("edges").value);
    at("edges-are").value = view.edges;
    render();
  });
  at("query").addEventListener("input", search);
  at("query").addEventListener("keydown", (event) => {
    const first = ranked.find(matches);
    if (event.key === "Enter" && view.query && first) go(first);
  });
  at("export").addEventListener("click", save);
  view.edges = Math.min(edges.length, 120);
  at("edges").value = at("edges-are").value = view.edges;
  legend();
  list();
  resize(Math.min(nodes.length, 80));
  if (judging) startJudging();
  addEventListener("scroll", fit, { passive: true });
  addEventListener("resize", fit);
  // An address after # holds that node, so that a link can point at it.
  const named = nodes.find((node) => [node.address, node.key].includes(location.hash.slice(1)));
  if (named) go(named);
  let width = graph.parentElement.clientWidth;
  new ResizeObserver(() => {
    if (graph.parentElement.clientWidth !== width) { width = graph.parentElement.clientWidth; render(); }
  }).observe(graph.parentElement);
}

start();
