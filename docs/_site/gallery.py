"""The gallery: circuits as pages of one file, with a drawing and a sentence each.

`make gallery` finds them and keeps each with its report in docs/gallery/, which is committed: the site is made of these files
and needs no model.
"""

from __future__ import annotations

import html
import io
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
KEPT = ROOT / "docs" / "gallery"
SITES = ("resid.7", "resid.11", "resid.15", "resid.19")
PAGE = """# Gallery

Circuits to look at. Each is one file that opens without a network: hover, search, pin, filter by strength, look at the curve.
The circuits themselves lie in `docs/gallery/`: `clew show docs/gallery/pronouns-names.json` makes such a page of one.

{parts}

## Found without a person

[The behaviours that an atlas of SmolLM2-135M found in a text](gallery/atlas.html), eleven hundred and fifty of them: a map,
a search, a card for each, the contexts of novels alone. [How it was made](atlas.md); `clew show docs/gallery/atlas`
makes such a page of it.
"""
PARTS = {
    "In a pretrained model": """SmolLM2-135M, which has 30 layers. In the first five nodes are features, units of the pack's
dictionaries after blocks 7, 11, 15 and 19, with names that were tested on text that they were not made from; in the last two
they are heads and MLPs. Faithfulness is measured on prompts that the circuit was not found on.""",
    "Written by hand": "Models whose weights were set by hand, so that the right circuit is known.",
}


def features(behaviour: str) -> tuple[Any, Any]:
    """The strongest units of the pack's dictionaries at four layers, wired and named, and the curve."""
    import clew
    from clew.dictionaries.packs import pack_labels
    from clew.explain.top_tokens import top_tokens

    model = clew.open("smollm2-135m")
    view = model.through(*(sae for sae in clew.Dictionary.load("smollm2-135m") if str(sae.writes) in SITES))
    task = clew.Behaviour.load(behaviour, model=model, n=24).filter(model)
    scores = clew.find(view, task)
    report = clew.verify(view, task, scores, by="curve", sizes=(10, 30, 100, 300), random=1)
    circuit = clew.find(view, task, scores.top(40), by="edges", examples=8).strongest_edges(120)
    return top_tokens(view, circuit, task.prompts()).explained(pack_labels("smollm2-135m", SITES)), report


def components(behaviour: str) -> tuple[Any, Any]:
    """The strongest edges between heads and MLPs, and the curve."""
    import clew

    model = clew.open("smollm2-135m")
    task = clew.Behaviour.load(behaviour, model=model, n=16).filter(model)
    found = clew.find(model, task, by="eap_ig_inputs")
    report = clew.verify(model, task, found, by="curve", sizes=(30, 100, 300, 1000), random=1)
    return found.strongest_edges(60).wired(), report


def planted(name: str) -> tuple[Any, Any]:
    """The strongest edges of a model that was written by hand, and the curve."""
    import clew
    from clew.data import planted

    known = getattr(planted, name)(n=8)
    found = clew.find(known.model, known.behaviour, by="eap_ig_inputs")
    report = clew.verify(known.model, known.behaviour, found, by="curve", sizes=(3, 10, 30), random=1)
    return found.strongest_edges(30).wired(), report


Find = Callable[[str], tuple[Any, Any]]
REAL, BY_HAND = "In a pretrained model", "Written by hand"
CIRCUITS: list[tuple[str, Find, str, str, str]] = [
    (REAL, features, "agreement/simple", "Singular or plural", "“The managers” → “are”: one unit a layer carries it."),
    (REAL, features, "agreement/across_rc", "Across a relative clause", "“The manager who the pilots like” → “is”."),
    (REAL, features, "pronouns/names", "He or she", "“My friend Martha was proud because” → “she”."),
    (REAL, features, "greater_than", "Greater than", "“from the year 1725 to the year 17” → a later one."),
    (REAL, features, "capitals", "A fact", "“The capital of Egypt” → “Cairo”: much of it the dictionaries leave out."),
    (REAL, components, "induction", "Induction", "A list again and again: what followed before follows now."),
    (REAL, components, "ioi/one_template", "Who gives to whom", "The name that was not said twice."),
    (BY_HAND, planted, "induction", "Induction", "A head looks for what followed; another tells it where to look."),
    (BY_HAND, planted, "ioi", "Who gives to whom", "The name that was not said twice."),
]
"""The part of the page, how it is found, of what, its title, and a sentence."""


def gallery() -> dict[str, str]:
    """The gallery's files by their place in the site: the page that lists them, and each with its drawing."""
    from clew.apps.pages.atlas import atlas_page
    from clew.studies.atlas.atlas import Atlas

    made = dict[str, str]()
    for _, find, of, *_ in CIRCUITS:
        made |= _shown(_name(find, of))
    made["gallery/atlas.html"] = atlas_page(Atlas.load(KEPT / "atlas"))
    return {**made, "gallery.md": PAGE.format(parts="\n\n".join(_part(part, said) for part, said in PARTS.items()))}


def _part(part: str, said: str) -> str:
    cards = [_card(_name(find, of), *told) for of_part, find, of, *told in CIRCUITS if of_part == part]
    return f'## {part}\n\n{said}\n\n<div class="gallery">\n' + "\n".join(cards) + "\n</div>"


def _name(find: Find, of: str) -> str:
    return of.replace("/", "-") + "-by-hand" * (find is planted)


def _card(name: str, title: str, said: str) -> str:
    return (
        f'<a href="gallery/{name}.html"><img src="gallery/{name}.svg" alt="The circuit, drawn">'
        f"<b>{html.escape(title)}</b><br>{html.escape(said)}</a>"
    )


def _shown(name: str) -> Iterator[tuple[str, str]]:
    """The page of a circuit that is kept, and its drawing; of one of edges so few that it is no ladder of thirty layers."""
    import matplotlib

    from clew.apps.pages.circuit import page
    from clew.circuits.circuit import Circuit
    from clew.report import Report

    matplotlib.use("svg")
    circuit, report = Circuit.load(KEPT / f"{name}.json"), Report.load(KEPT / f"{name}.report.json")
    yield f"gallery/{name}.html", page(circuit, report)
    drawing, few = io.StringIO(), circuit.strongest_edges(15).wired() if circuit.kind.by_edges else circuit
    few.plot(nodes=40, edges=60).figure.savefig(drawing, format="svg")
    yield f"gallery/{name}.svg", drawing.getvalue()


def keep(find: Find, of: str, title: str) -> None:
    """Find one, and write it with its report."""
    began = time.monotonic()
    circuit, report = find(of)
    where = "a model written by hand" if find is planted else "SmolLM2-135M"
    circuit.with_details(title=f"{title}, in {where}").save(KEPT / f"{_name(find, of)}.json")
    report.save(KEPT / f"{_name(find, of)}.report.json")
    print(f"{_name(find, of)}: {time.monotonic() - began:.0f} seconds", flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    for _, find, of, title, _ in CIRCUITS:
        if not sys.argv[1:] or _name(find, of) in sys.argv[1:]:
            keep(find, of, title)
