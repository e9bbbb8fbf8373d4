"""The gallery: circuits as pages of one file, with a drawing and a sentence each.

`make gallery` finds them in SmolLM2-135M, in some minutes, and keeps them in build/. A site that is built without it has the
circuits of models that were written by hand, whose truth is known.
"""

from __future__ import annotations

import html
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib

ROOT = Path(__file__).parent.parent.parent
GALLERY = ROOT / "build" / "gallery"
OF = {
    "real": "a pretrained model, SmolLM2-135M",
    "by hand": "models whose weights were written by hand, so that the truth is known",
}
PAGE = """# Gallery

Circuits of {of}. Each is one file that opens without a network: hover, search, pin, filter by strength, look at the curve.

<div class="gallery">
{cards}
</div>
"""
REAL = {
    "agreement/across_pp": "The number of the subject, past a nearer noun: features of four layers, with tested names.",
    "greater_than": "From the year 1725 to the year 17.. comes a later one. Features of four layers.",
}
SITES = ("resid.7", "resid.11", "resid.15", "resid.19")
Found = tuple[str, str, Any, Any]
"""A name, a sentence, a circuit and a report of it."""


def gallery() -> dict[str, str]:
    """The gallery's files by their place in the site: the page that lists them, and each with its drawing."""
    if not (GALLERY / "index.json").exists():
        keep(planted(), "by hand")
    index = json.loads((GALLERY / "index.json").read_text(encoding="utf-8"))
    made = {
        f"gallery/{p.name}": p.read_text(encoding="utf-8") for p in GALLERY.iterdir() if p.suffix in (".svg", ".html")
    }
    cards = "\n".join(_card(**entry) for entry in index["circuits"])
    return {**made, "gallery.md": PAGE.format(of=OF[index["of"]], cards=cards)}


def _card(name: str, title: str, said: str) -> str:
    return (
        f'<a href="gallery/{name}.html"><img src="gallery/{name}.svg" alt="The circuit, drawn">'
        f"<b>{html.escape(title)}</b><br>{html.escape(said)}</a>"
    )


def keep(found: Iterator[Found], of: str) -> None:
    """Write pages, drawings, and the list of them last."""
    from clew.apps.pages.circuit import page
    from clew.files import write_text

    matplotlib.use("svg")
    circuits = []
    for name, said, circuit, report in found:
        write_text(GALLERY / f"{name}.html", page(circuit, report))
        drawing = io.StringIO()
        circuit.plot(nodes=40, edges=60).figure.savefig(drawing, format="svg")
        write_text(GALLERY / f"{name}.svg", drawing.getvalue())
        circuits.append({"name": name, "title": str(circuit.details["title"]), "said": said})
    write_text(GALLERY / "index.json", json.dumps({"of": of, "circuits": circuits}))


def planted() -> Iterator[Found]:
    """Circuits of models that were written by hand."""
    import clew
    from clew.data.planted import induction, ioi

    for make, said in (
        (induction, "A head looks for what followed the last time; another tells it where to look."),
        (ioi, "Who gives to whom: the name that was not said twice."),
    ):
        known = make(n=8)
        found = clew.find(known.model, known.behaviour, by="eap_ig_inputs")
        report = clew.verify(known.model, known.behaviour, found, by="curve", sizes=(3, 10, 30), random=1)
        name = make.__name__
        yield name, said, found.strongest_edges(30).wired().with_details(title=f"{name}, written by hand"), report


def real() -> Iterator[Found]:
    """Circuits of the bundled model."""
    import clew
    from clew.dictionaries.packs import pack_labels
    from clew.explain.top_tokens import top_tokens

    model = clew.open("smollm2-135m")
    saes = [sae for sae in clew.Dictionary.load("smollm2-135m") if str(sae.writes) in SITES]
    view, names = model.through(*saes), pack_labels("smollm2-135m", SITES)
    for behaviour, said in REAL.items():
        task = clew.Behaviour.load(behaviour, model=model, n=24).filter(model)
        scores = clew.find(view, task)
        report = clew.verify(view, task, scores, by="curve", sizes=(10, 30, 100, 300), random=1)
        circuit = clew.find(view, task, scores.top(40), by="edges", examples=8)
        circuit = top_tokens(view, circuit, task.prompts()).explained(names)
        yield behaviour.replace("/", "-"), said, circuit.with_details(title=f"{behaviour} in SmolLM2-135M"), report
    task = clew.Behaviour.load("ioi", model=model, n=16).filter(model)
    edges = clew.find(model, task, by="eap_ig_inputs")
    report = clew.verify(model, task, edges, by="curve", sizes=(30, 100, 300, 1000), random=1)
    found = edges.strongest_edges(100).wired().with_details(title="ioi in SmolLM2-135M")
    yield "ioi", "Who gives to whom. Heads, MLPs and the edges between them.", found, report


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    keep(real(), "real")
