"""Detoxification by units of a dictionary: three tiers of steering against baselines, toxicity against fluency.

Claim: subtracting the decoder rows of a few units that fire on toxic text lowers toxicity, the more aggressive tier the
more, at a cost in fluency (Goyal et al. 2025, arXiv:2505.14536: up to 20 % below competitive baselines on GPT-2 Small and
Gemma-2-2B; fluency of GPT-2 Small suffers). Steering only where units fire should cost the least.
Here: SmolLM2-135M through its bundled pack, five units of resid.15. Toxicity is .49 unedited, at perplexity 18.9. Constant:
.45 to .34, at 19 to 41; by prompt: .45 to .36, at 22 to 49; by token: .46 to .45, at 18 to 23, which 60 prompts do not tell
from unedited. So the order is the claim's, but the gates open on nearly every toxic prompt, and by prompt is no cheaper than
constant. A mean difference of equal length does better (.39 to .30, at 20 to 33); a random direction, and random units, do
hardly anything below a perplexity of 30.
Toxicity is a proxy: a character n-gram regression that tells the user's toxic prompts from ordinary text, so it knows style
as well as offence; its AUC on held-out texts is .92, and .74 to .85 against a genre it was not fitted on. Perplexity is that
of the continuations under the unedited model; low perplexity may be mere repetition.
Three parts of the toxic prompts are kept apart: to choose units and vectors on, to fit the proxy on, to continue.

    python recipes/detoxification.py TOXIC ORDINARY      TOXIC holds .txt files, a prompt a line (RealToxicityPrompts is
        offensive, so none of it is here); ORDINARY holds folders of .txt or .txt.xz, one for each genre, two or more
    python recipes/detoxification.py TOXIC ORDINARY --tiny

Minutes: about 25 on one quiet core; `--tiny` 2. Needs clew[probes]; draws if matplotlib is there.
Writes docs/results/detoxification.json, .md and .svg, with numbers only.
"""

import argparse
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from math import exp
from pathlib import Path

import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline

import clew
from clew.data.labels.labelled import Labelled
from clew.data.text.texts import stream_texts
from clew.data.text.windows import Windows, cut
from clew.files import write_text
from clew.models.likelihood import likelihoods
from clew.readings.firing import firing
from clew.report import Row, bootstrap

RESULTS = Path(__file__).parent.parent / "docs" / "results"
LAYERS = (9, 15, 21)
"""Among whose residual sites one is chosen: where the units tell the texts apart best."""
UNITS = 5
STRENGTHS = {"constant": (0.25, 0.5, 1.0), "prompt": (0.5, 1.0, 2.0), "token": (1.0, 2.0, 4.0)}
"""Of each tier: the rarer it steers, the stronger it may."""


@dataclass(frozen=True)
class Texts:
    """What the user has, dealt into parts that share no text."""

    choose: Labelled
    fit: Labelled
    prompts: tuple[str, ...]
    """Toxic prompts to continue."""
    calm: tuple[str, ...]
    """Ordinary ones, to see which are left alone; as long."""
    genres: dict[str, tuple[str, ...]]
    """Ordinary texts to judge the proxy on."""
    running: tuple[str, ...]
    """Whole ordinary paragraphs, to take the loss on."""


def read(toxic: Path, ordinary: Path, prompts: int, seed: int = 0) -> Texts:
    """Deal the texts. Ordinary ones are cut to the lengths of the toxic ones, that length tell nothing."""
    rng = random.Random(seed)
    lines = {line.strip() for file in sorted(toxic.glob("*.txt")) for line in file.read_text().splitlines()}
    bad = [line for line in sorted(lines) if len(line.split()) > 3]
    rng.shuffle(bad)
    lengths = [len(line.split()) for line in bad]
    genres: dict[str, list[str]] = {}
    for folder in sorted(f for f in ordinary.iterdir() if f.is_dir()):
        files = [f for f in sorted(folder.iterdir()) if re.search(r"\.txt(\.xz|\.gz)?$", f.name)]
        found = [p for f in files for p in picked(paragraphs(f), 300 // len(files) + 1, rng)]
        if found:
            genres[folder.name] = rng.sample(found, len(found))
    short = {name: [" ".join(t.split()[: rng.choice(lengths)]) for t in texts] for name, texts in genres.items()}
    part = (len(bad) - prompts) // 3

    def two(name: str, toxic: list[str], first: int, each: int) -> Labelled:
        good = [t for texts in short.values() for t in texts[first : first + each]]
        return Labelled(name, (*toxic, *good), {"tone": ("toxic",) * len(toxic) + ("ordinary",) * len(good)})

    a, b = part // len(short), 2 * part // len(short)
    return Texts(
        two("to choose", bad[:part], 0, a),
        two("to fit", bad[part : 3 * part], a, b),
        tuple(bad[3 * part :][:prompts]),
        tuple(t for texts in short.values() for t in texts[a + b : a + b + prompts // len(short)]),
        {name: tuple(texts[a + b :]) for name, texts in short.items()},
        tuple(t for texts in genres.values() for t in texts[a + b :][:6]),
    )


def picked(texts: list[str], n: int, rng: random.Random) -> list[str]:
    return rng.sample(texts, min(len(texts), n))


def paragraphs(file: Path) -> list[str]:
    """The first paragraphs of running text of a file."""
    lines = (re.sub(r"\s+", " ", text).strip() for text in islice(stream_texts(file), 3000))
    return [line for line in lines if 25 <= len(line.split()) <= 400]


def proxy_of(texts: Labelled, without: Sequence[str] = ()):
    """Says how toxic a text looks, from 0 to 1; fitted without some of the texts."""
    kept = [i for i, text in enumerate(texts.texts) if text not in set(without)]
    model = make_pipeline(TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, min_df=2),
                          LogisticRegression(C=10.0, class_weight="balanced", max_iter=2000))  # fmt: skip
    model.fit([texts.texts[i] for i in kept], [texts["tone"][i] == "toxic" for i in kept])
    return lambda some: model.predict_proba(list(some))[:, 1]


def aucs(texts: Texts) -> dict[str, float]:
    """How well the proxy tells held-out texts apart: of all genres, and of each one that was left out of its fit."""

    def auc(score, genres: Sequence[str]) -> float:
        good = [t for name in genres for t in texts.genres[name]]
        truth = [1] * len(texts.prompts) + [0] * len(good)
        return float(roc_auc_score(truth, score([*texts.prompts, *good])))

    found = {"all genres": auc(proxy_of(texts.fit), list(texts.genres))}
    good = [t for t, tone in zip(texts.fit.texts, texts.fit["tone"], strict=True) if tone == "ordinary"]
    each = len(good) // len(texts.genres)
    for i, name in enumerate(texts.genres):
        found[f"{name}, not fitted on"] = auc(proxy_of(texts.fit, good[i * each : (i + 1) * each]), [name])
    return found


def best_site(model: clew.Model, texts: Labelled) -> str:
    """The site whose units differ most in the share of texts they fire on, toxic against ordinary."""
    sides = [
        [t for t, tone in zip(texts.texts, texts["tone"], strict=True) if tone == c] for c in ("toxic", "ordinary")
    ]
    gaps = {}
    for site, dictionary in model.dictionaries.items():
        bad, good = (firing(model, side, dictionary) for side in sides)
        gaps[str(site)] = float((bad.share - good.share).topk(UNITS).values.mean())
        print(f"{site}: {gaps[str(site)]:.3f}", flush=True)
    return max(gaps, key=lambda site: gaps[site])


def conditions(view: clew.Model, texts: Labelled, site: str) -> Iterator[tuple[str, float, clew.Stack]]:
    """Every way to change the model, with its strength; the vectors of the baselines are as long as that of the units."""

    def steer(tier: str, **options) -> clew.Stack:
        given = {"units": UNITS, "rank": "share"} | options
        return clew.edit(view, texts, by="unit_steering", avoid="toxic", at=site, tier=tier, **given)

    tiers = {tier: steer(tier) for tier in ("constant", "prompt", "token")}
    shift = sum(e.vector for e in tiers["constant"])
    mean = clew.edit(view, texts, by="mean_difference", sites=[site], at="mean", positive="ordinary")
    drawn = torch.randn(shift.shape, generator=torch.Generator().manual_seed(0)).to(shift)
    toxic = [t for t, tone in zip(texts.texts, texts["tone"], strict=True) if tone == "toxic"]
    common = (firing(view, toxic, view.dictionaries[clew.Site.parse(site)]).share > 0.2).nonzero().flatten().tolist()
    others = sorted(set(common) - set(tiers["token"].about["units"]))
    tiers["token, random units"] = steer("token", units=random.Random(0).sample(others, UNITS))
    for name, stack in tiers.items():
        for strength in STRENGTHS[name.partition(",")[0]]:
            yield f"units, {name}", strength, stack.scaled(strength)
    for name, vector in (("mean difference", mean[0].vector), ("random direction", drawn)):
        for strength in STRENGTHS["constant"]:
            add = clew.Add(site, vector=vector * shift.norm() / vector.norm(), scale=strength)
            yield name, strength, clew.Stack((add,), name)
    for factor in (0.0, -1.0):
        stack = clew.edit(
            view, texts, by="unit_scaling", avoid="toxic", at=site, units=UNITS, rank="share", factor=factor
        )
        yield "units scaled", factor, stack


def forbidden(model: clew.Model, texts: Labelled, n: int) -> list[list[int]]:
    """The n tokens that speak most for a toxic text, by their smoothed share of texts: never to be written."""
    counts = {c: np.ones(len(model.tokenizer)) for c in ("toxic", "ordinary")}
    for text, tone in zip(texts.texts, texts["tone"], strict=True):
        counts[tone][list({*model.tokenizer(text)["input_ids"]})] += 1
    gap = np.log(counts["toxic"] / counts["toxic"].sum()) - np.log(counts["ordinary"] / counts["ordinary"].sum())
    return [[int(token)] for token in np.argsort(-gap)[:n]]


def written(
    model: clew.Model, prompts: Sequence[str], length: int, **options
) -> tuple[list[str], list[list[int]], list[str]]:
    """What the model adds to each prompt, as text and as tokens, sampled with one seed; and the receipts of its edits."""
    torch.manual_seed(0)
    made = model.generate(prompts, max_new_tokens=length, do_sample=True, top_p=0.9, top_k=0, **options)
    first = max(len(model.tokenizer(p)["input_ids"]) for p in prompts)
    end = model.tokenizer.eos_token_id
    rows = [row[: row.index(end)] if end in row else row for row in made.tokens[:, first:].tolist()]
    return [model.tokenizer.decode(row) for row in rows], rows, [str(r) for r in made.receipts]


def judged(
    name: str, strength: float | None, plain: clew.Model, edited: clew.Model, texts: Texts, running: Windows,
    score, length: int, **options,
) -> tuple[list[Row], list[list[int]]]:  # fmt: skip
    """Toxicity, perplexity and repetition of what is written, and the rise of the loss on ordinary text."""
    said, rows, receipts = written(edited, texts.prompts, length, **options)
    ids = [list(plain.tokenizer(p)["input_ids"]) for p in texts.prompts]
    full = [i for i, row in enumerate(rows) if row]
    found = likelihoods(plain, [(ids[i], rows[i]) for i in full])
    cost, size = np.array([-a.total for a in found]), np.array([len(a.log_p) for a in found])
    toxic = np.array(score(said[i] for i in full))
    again = np.array([1 - len({*pairwise(r)}) / max(1, len(r) - 1) for r in (rows[i] for i in full)])
    of = name if strength is None else f"{name}, {strength:g}"

    def row(measure: str, statistic) -> Row:
        low, high = bootstrap(statistic, len(full))
        return Row(measure, float(statistic(np.arange(len(full)))), low, high, of, examples=len(full))

    made = [
        row("toxicity", lambda i: float(toxic[i].mean())),
        row("toxic texts", lambda i: float((toxic[i] > 0.5).mean())),
        row("perplexity", lambda i: exp(cost[i].sum() / size[i].sum())),
        row("repetition", lambda i: float(again[i].mean())),
    ]
    if edited.edits:
        stack = clew.Stack(edited.edits)
        loss = clew.verify(plain, running, stack, by="locality", controls=0, lead=1.0)["loss increase"]
        made.append(Row("loss increase", loss.value, loss.low, loss.high, of, examples=loss.examples))
    print(
        of,
        *(f"{r.measure} {r.said()}" for r in made),
        *receipts[:1],
        sep="  ",
        flush=True,
    )
    return made, rows


def left_alone(view: clew.Model, stack: clew.Stack, prompts: Sequence[str], length: int) -> int:
    """On how many prompts no gate of a conditional stack opens; there the edited model is the unedited one, bit for bit.

    Raises: AssertionError where it is not.
    """
    (site,), units, quiet = {e.at for e in stack}, [e.gate.unit for e in stack], 0
    edited = view.edited(stack)
    for prompt in prompts:
        run = view.run(prompt, read=[site])
        if bool((run.code(site)[..., units] > 0).any()):
            continue
        quiet += 1
        assert torch.equal(edited.run(prompt).logits, run.logits), "an edit with a shut gate moved the logits"
        if stack[0].gate.reach == "prompt" and quiet <= 5:
            before, after = (m.generate(prompt, max_new_tokens=length).tokens for m in (view, edited))
            assert torch.equal(before, after), "an edit with a shut gate moved the text"
    return quiet


def table(report: clew.Report) -> str:
    """Markdown: a row for each condition."""
    measures = ("toxicity", "toxic texts", "perplexity", "repetition", "loss increase")
    cells = {(r.of, r.measure): r for r in report.rows}
    lines = ["| model, strength | " + " | ".join(measures) + " |", "|---" * (len(measures) + 1) + "|"]
    for of in dict.fromkeys(r.of for r in report.rows if r.measure == "toxicity"):
        row = [cells.get((of, m)) for m in measures]
        digits = [".2f", ".2f", ".1f", ".2f", "+.1%"]
        said = [r.said(d) if r else "" for r, d in zip(row, digits, strict=True)]
        lines.append(f"| {of} | " + " | ".join(said) + " |")
    return "\n".join(lines) + "\n"


def draw(report: clew.Report, path: Path) -> None:
    """Toxicity against perplexity, one line a method."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    values = {(r.of, r.measure): r.value for r in report.rows}
    lines: dict[str, list[tuple[float, float]]] = {}
    for of in dict.fromkeys(r.of for r in report.rows if r.measure == "toxicity"):
        lines.setdefault(of.rpartition(", ")[0] or of, []).append((values[of, "perplexity"], values[of, "toxicity"]))
    figure, axis = plt.subplots(figsize=(7, 4.5))
    start = lines["unedited"][0]
    for name, points in lines.items():
        joined = [start, *points] if len(points) > 2 else points
        axis.plot(*zip(*joined, strict=True), marker="o", label=name, linestyle="-" if len(points) > 2 else "none")
    axis.set(xlabel="perplexity of continuations, unedited model", ylabel="toxicity (proxy)", xscale="log")
    axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("toxic", type=Path)
    parser.add_argument("ordinary", type=Path)
    parser.add_argument("--tiny", action="store_true")
    given = parser.parse_args()
    tiny, length = given.tiny, 8 if given.tiny else 20
    texts = read(given.toxic, given.ordinary, prompts=8 if tiny else 60)
    model = clew.open("smollm2-135m", dtype=torch.float32)
    auc, score = aucs(texts), proxy_of(texts.fit)
    print(auc, {t: float(score(s).mean()) for t, s in (("toxic", texts.prompts), ("ordinary", texts.calm))}, flush=True)
    wanted = {f"resid.{layer}" for layer in ((15,) if tiny else LAYERS)}
    pack = [d for d in clew.Dictionary.load("smollm2-135m") if str(d.writes) in wanted]
    few = texts.choose.pick(range(0, len(texts.choose), 8 if tiny else 1))
    site = best_site(model.through(*pack), few)
    view = model.through(*(d for d in pack if str(d.writes) == site))
    running = cut(texts.running, model.tokenizer, context=48, limit=200 if tiny else 1500)
    rows: list[Row] = []
    plain, _ = judged("unedited", None, view, view, texts, running, score, length)
    words, _ = judged("forbidden tokens, 200", None, view, view, texts, running, score, length,
                      bad_words_ids=forbidden(model, few, 200))  # fmt: skip
    rows += [*plain, *words]
    alone, kept = {}, None
    for name, strength, stack in conditions(view, few, site):
        if tiny and strength not in (0.5, 1.0, 4.0):
            continue
        made, _ = judged(name, strength, view, view.edited(stack), texts, running, score, length)
        rows += made
        if (tier := name.removeprefix("units, ")) in ("prompt", "token") and strength == STRENGTHS[tier][-1]:
            kept = stack.about
            alone[name] = [left_alone(view, stack, some, length) for some in (texts.prompts, texts.calm)]
    assert kept is not None
    share = "; ".join(f"{u}: {a:.0%} / {b:.0%}" for u, (a, b) in zip(kept["units"], kept["share"], strict=True))
    notes = (
        f"{len(texts.prompts)} toxic prompts continued by up to {length} tokens, top-p 0.9, one seed; intervals over prompts",
        f"units of {site} and the share of toxic / ordinary texts they fire on: {share}",
        "AUC of the proxy on held-out texts: " + ", ".join(f"{k} {v:.3f}" for k, v in auc.items()),
        "prompts on which no gate opens, toxic and ordinary (logits bit-identical on each): "
        + ", ".join(f"{k} {a} of {len(texts.prompts)} and {b} of {len(texts.calm)}" for k, (a, b) in alone.items()),
    )
    about = {"model": model.name, "weights": model.body.fingerprint, "site": site, "units": kept["units"],
             "dictionary": kept["dictionary"], "texts": [texts.choose.hash, texts.fit.hash]}  # fmt: skip
    report = clew.Report("detoxification", tuple(rows), notes, about)
    print(table(report), *notes, sep="\n")
    if tiny:
        return
    report.save(RESULTS / "detoxification.json")
    head = (
        "# Detoxification\n\n"
        + "".join(f"- {note}.\n" for note in notes)
        + "\nMade by `recipes/detoxification.py`.\n\n"
    )
    write_text(RESULTS / "detoxification.md", head + table(report))
    try:
        draw(report, RESULTS / "detoxification.svg")
    except ImportError:
        print("no matplotlib, so no figure")


if __name__ == "__main__":
    main()
