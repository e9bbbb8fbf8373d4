"use strict";
// The judgement lies in the page as JSON, in the form in which it is saved; each card shows one of its units.
const judgement = JSON.parse(document.getElementById("data").textContent);
const units = new Map(judgement.units.map((unit) => [unit.address, unit]));
const cards = [...document.querySelectorAll("article")];
const judge = document.getElementById("judge");
let saved = true;

function today() {
  const now = new Date();
  const two = (n) => String(n).padStart(2, "0");
  return `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}`;
}

function show(card) {
  const unit = units.get(card.dataset.address);
  card.dataset.verdict = unit.verdict || "";
  for (const verdict of ["keep", "drop"]) {
    card.querySelector(`.${verdict}`).setAttribute("aria-pressed", String(unit.verdict === verdict));
  }
  const by = [unit.judge, unit.date].filter(Boolean).join(", ");
  card.querySelector(".said").textContent = unit.verdict ? by : "open";
  const all = [...units.values()].map((u) => u.verdict);
  const count = (verdict) => all.filter((v) => v === verdict).length;
  document.getElementById("count").textContent =
    `${count("drop")} dropped, ${count("keep")} kept, ${all.length - count("drop") - count("keep")} open`;
}

function rule(card, verdict) {
  const unit = units.get(card.dataset.address);
  for (const key of ["verdict", "reason", "judge", "date"]) delete unit[key];
  if (verdict) {
    Object.assign(unit, { verdict, reason: card.querySelector("input").value, judge: judge.value.trim(), date: today() });
  }
  saved = false;
  show(card);
}

function next(card, step) {
  const to = cards[cards.indexOf(card) + step];
  if (to) to.focus();
}

for (const card of cards) {
  const reason = card.querySelector("input");
  reason.value = units.get(card.dataset.address).reason || "";
  for (const verdict of ["keep", "drop"]) {
    card.querySelector(`.${verdict}`).addEventListener("click", () => {
      rule(card, units.get(card.dataset.address).verdict === verdict ? null : verdict);
    });
  }
  reason.addEventListener("input", () => {
    const unit = units.get(card.dataset.address);
    if (unit.verdict) rule(card, unit.verdict);
  });
  card.addEventListener("keydown", (event) => {
    if (event.target === reason || event.ctrlKey || event.metaKey || event.altKey) return;
    const verdict = { k: "keep", d: "drop", u: null }[event.key];
    if (verdict !== undefined) {
      rule(card, verdict);
      if (verdict) next(card, 1);
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      next(card, event.key === "ArrowDown" ? 1 : -1);
      event.preventDefault();
    }
  });
  show(card);
}

document.getElementById("save").addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(judgement)], { type: "application/json" }));
  link.download = "judged.json";
  link.click();
  URL.revokeObjectURL(link.href);
  saved = true;
});
addEventListener("beforeunload", (event) => {
  if (!saved) event.preventDefault();
});
const first = cards.find((card) => !card.dataset.verdict) || cards[0];
if (first) first.focus();
