
// --- Judging: the verdicts lie in the page as JSON, in the form in which they are saved ---------------

const judging = data.verdicts && {
  rulings: new Map(data.verdicts.units.map((unit) => [unit.address, unit])),
  order: data.verdicts.units.map((unit) => unit.address),
  saved: true,
};

function today() {
  const now = new Date(), two = (n) => String(n).padStart(2, "0");
  return `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}`;
}

// Keep, drop and why, for one unit; wherever it stands it shows the same.
function verdictOf(key) {
  const ruling = judging.rulings.get(key), box = html("div", { class: "verdict", "data-of": key });
  for (const verdict of ["keep", "drop"]) {
    const button = html("button", { type: "button", class: verdict }, verdict === "keep" ? "Keep" : "Drop");
    button.addEventListener("click", () => rule(key, ruling.verdict === verdict ? null : verdict));
    box.append(button);
  }
  const reason = html("input", { placeholder: "Why?", "aria-label": `Reason for ${key}` });
  reason.value = ruling.reason || "";
  reason.addEventListener("input", () => { if (ruling.verdict) rule(key, ruling.verdict, reason.value); });
  box.append(reason, html("p", { class: "said" }));
  tell(box, ruling);
  return box;
}

function tell(box, ruling) {
  box.dataset.verdict = ruling.verdict || "";
  for (const verdict of ["keep", "drop"]) box.querySelector(`.${verdict}`).setAttribute("aria-pressed", String(ruling.verdict === verdict));
  const reason = box.querySelector("input");
  if (reason !== document.activeElement && ruling.verdict) reason.value = ruling.reason || "";
  box.querySelector(".said").textContent = ruling.verdict ? [ruling.judge, ruling.date].filter(Boolean).join(", ") : "open";
  const card = box.closest("article");
  if (card) card.dataset.verdict = ruling.verdict || "";
}

function rule(key, verdict, reason) {
  const ruling = judging.rulings.get(key), own = document.querySelector(`.verdict[data-of="${key}"] input`);
  const why = reason ?? (own ? own.value : ruling.reason || "");
  for (const field of ["verdict", "reason", "judge", "date"]) delete ruling[field];
  if (verdict) Object.assign(ruling, { verdict, reason: why, judge: at("judge").value.trim(), date: today() });
  judging.saved = false;
  shownVerdicts();
}

function shownVerdicts() {
  for (const box of document.querySelectorAll(".verdict")) tell(box, judging.rulings.get(box.dataset.of));
  for (const node of nodes) if (node.element) node.element.dataset.verdict = judging.rulings.get(node.key)?.verdict || "";
  const all = [...judging.rulings.values()].map((ruling) => ruling.verdict);
  const count = (verdict) => all.filter((v) => v === verdict).length;
  at("count").value = `${count("drop")} dropped, ${count("keep")} kept, ${all.length - count("drop") - count("keep")} open`;
}

// Keys act on the card of the list that has the focus, else on the unit whose node is held in the graph.
function judgeKey(event) {
  const cards = [...document.querySelectorAll("article")], card = document.activeElement.closest?.("article");
  if (card && ["ArrowDown", "ArrowUp"].includes(event.key)) {
    cards[cards.indexOf(card) + (event.key === "ArrowDown" ? 1 : -1)]?.focus();
    return true;
  }
  const key = card?.dataset.address ?? view.held?.key, verdict = { k: "keep", d: "drop", u: null, n: undefined };
  if (!judging?.rulings.has(key) || !Object.hasOwn(verdict, event.key) || event.ctrlKey || event.metaKey || event.altKey) return false;
  if (event.key !== "n") rule(key, verdict[event.key]);
  if (event.key === "u") return true;
  if (card) cards[cards.indexOf(card) + 1]?.focus();
  else goOn(key);
  return true;
}

// To the next unit that is open, in the order in which they are judged; from the last one on to the first.
function goOn(after) {
  const from = judging.order.indexOf(after) + 1;
  const next = [...judging.order.slice(from), ...judging.order.slice(0, from)].find((key) => !judging.rulings.get(key).verdict && units.has(key));
  if (next) go(units.get(next).nodes[0], false);
}

function startJudging() {
  at("save").addEventListener("click", () => {
    const link = html("a", { download: "judged.json" });
    link.href = URL.createObjectURL(new Blob([JSON.stringify(data.verdicts)], { type: "application/json" }));
    link.click();
    URL.revokeObjectURL(link.href);
    judging.saved = true;
  });
  addEventListener("beforeunload", (event) => { if (!judging.saved) event.preventDefault(); });
  goOn(null);
  shownVerdicts();
}

