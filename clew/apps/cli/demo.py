"""clew demo: the whole thread on a real model, from a behaviour to a checked circuit and a page that shows it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from clew.apps._cards import table
from clew.apps.cli._terminal import Json, aside, say, telling

SHOWN = 60
"""Nodes of the graph on the page."""
SIZES = (10, 30, SHOWN, 100, 300, 1000)


def demo(
    *,
    behaviour: str = "agreement/across_rc",
    model: str = "smollm2-135m",
    text: Path | None = None,
    examples: int = 64,
    tokens: int = 100_000,
    out: Path = Path("clew-demo"),
    json: Json = False,
) -> None:
    """Find a sparse feature circuit in a pretrained model, check it against neurons and chance, and show it.

    Parameters
    ----------
    behaviour
        What to explain; see `clew behaviours`.
    model
        What to explain it in.
    text
        A text file to train dictionaries on; by default those of the model's pack, else the leads of 10,000 Wikipedia
        articles.
    examples
        Prompt pairs, half to find the circuit on and half to check it.
    tokens
        How much of the text to train on.
    out
        The folder for the circuit, the report and the page.
    """
    steps = Steps()
    with steps.take(f"opening {model}"):
        import transformers

        import clew
        from clew.data.text.texts import read_texts, shuffled_texts, wikipedia_leads
        from clew.dictionaries.packs import pack_labels, packs, what_there_is
        from clew.explain.top_tokens import top_tokens
        from clew.labels import Labels
        from clew.measures.circuits.predicted_effects import with_predicted_effects

        transformers.utils.logging.disable_progress_bar()
        clew.Behaviour.load(behaviour, n=2)  # a wrong name is said before anything takes long
        opened = clew.open(model).sharing()
    if text is None and opened.name not in packs():
        aside(
            f"there is no pack for {opened.name}, so dictionaries are trained here, which takes longer ({what_there_is()})"
        )
    with steps.take("dictionaries") as tell:
        sites = sites_for(opened)
        dictionaries = dictionaries_for(opened, sites, text, tokens, tell)
        view, neurons = opened.through(*dictionaries), opened.neurons(*sites)
    with steps.take(f"prompts of {behaviour}"):
        right = clew.Behaviour.load(behaviour, model=opened, n=4 * examples).filter(opened)
        task = right.first(examples)
    with steps.take("circuit of features, by integrated gradients") as tell:
        found = clew.find(view, task, progress=tell)
    with steps.take("circuit of neurons, the same way") as tell:
        found_neurons = clew.find(neurons, task, progress=tell)
    with steps.take("faithfulness on held-out prompts") as tell:
        report = clew.verify(view, task, found, by="curve", sizes=SIZES, random=2, progress=tell)
        report += clew.verify(neurons, task, found_neurons, by="curve", sizes=SIZES, random=0, progress=tell)
    with steps.take(f"edges of the {SHOWN} strongest nodes") as tell:
        circuit = clew.find(view, task, found.top(SHOWN), by="edges", examples=8, progress=tell)
        circuit = with_predicted_effects(view, task.train, circuit, progress=tell)
    with steps.take("what the units fire on, and their names"):
        texts = shuffled_texts(read_texts(text) if text else wikipedia_leads())
        circuit = top_tokens(view, circuit, chain(task.prompts(), texts), tokens=4_000)
        circuit = circuit.with_details(title=f"{behaviour} in {model}")
        names = pack_labels(opened.name, sites) if text is None and opened.name in packs() else Labels()
        circuit = circuit.explained(names)
    with steps.take("page"):
        from clew.apps.pages.circuit import page
        from clew.files import write_text

        circuit.save(out / "circuit.json")
        report.save(out / "report.json")
        shown = write_text(out / "circuit.html", page(circuit, report))
    note = told(task, right)
    sizes = f"{len(circuit)} nodes, {len(circuit.weight)} edges"
    there = f"{sizes}. Open {shown} in a browser, or: clew studio {out} --open"
    lines = [str(report), "", table(circuit), "", note, there]
    say(
        "\n".join(lines), {"page": str(shown), "report": report.to_json(), "seconds": steps.seconds, "note": note}, json
    )


def told(task: Any, right: Any) -> str:
    """How many pairs circuits are found on and verified on, of how many that the model gets right, and what fell out."""
    some = f", the first {len(task)} of {len(right)}" * (len(task) < len(right))
    halves = f"Prompt pairs: {len(task.train)} to find circuits on, {len(task.test)} others to verify them on{some}."
    return f"{halves} Before that: {task.note}" if task.note else halves


def dictionaries_for(model: Any, sites: list[str], text: Path | None, tokens: int, tell: Any) -> list[Any]:
    """Those of the model's pack, unless a text is given or none is installed; then trained ones, from the cache."""
    import clew
    from clew.data.text.texts import read_texts, shuffled_texts, wikipedia_leads
    from clew.data.text.windows import cut
    from clew.dictionaries.packs import packs
    from clew.files import cache_folder

    if text is None and model.name in packs():
        wanted = {str(site) for site in sites}
        return [d for d in clew.Dictionary.load(model.name) if str(d.reads) in wanted]
    texts = shuffled_texts(read_texts(text) if text else wikipedia_leads())
    windows = cut(texts, model.tokenizer, limit=tokens)
    folder = cache_folder("dictionaries", f"{model.body.fingerprint}-{windows.policy['hash']}")
    plans = [clew.Plan("topk", site, options={"units": 2304, "k": 16}) for site in sites]
    store = clew.record(
        model,
        windows,
        sites=sites,
        to=folder / "store",
        dtype="int8",
        progress=tell,
    )
    return clew.train(store, plans, to=folder, steps=400, progress=tell)


def sites_for(model: Any) -> list[str]:
    """Six residual sites, fewer of few layers, spread over the lower four fifths: above, little is left to decide."""
    layers = (max(0, round(model.n_layers * (4 * i + 4) / 30) - 1) for i in range(6))
    return [f"resid.{layer}" for layer in dict.fromkeys(layers)]


class Steps:
    """Says on stderr what is being done and, when it is done, how long it took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def take(self, what: str) -> Iterator[Any]:
        """Time a step; yields what it tells how far it is."""
        started = time.perf_counter()
        with telling(what) as tell:
            yield tell
        self.seconds[what] = round(time.perf_counter() - started, 1)
        aside(f"  {self.seconds[what]:7.1f} s  {what}")
