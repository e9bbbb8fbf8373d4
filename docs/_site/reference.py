"""The reference: a page for each kind of thing, made of the docstrings of what is public."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

import clew

ROOT = Path(__file__).parent.parent.parent
NAMES = {
    "verbs": ("Verbs", "find verify edit explain probe open index record train cut"),
    "model": ("Model and run", "Model Trace Generation EditDidNotFire Progress"),
    "evidence": ("What is asked", "Behaviour Pair Fact Facts Secrets Labelled Windows Asks"),
    "circuit": ("Circuit and report", "Circuit Node Report Ablation"),
    "dictionaries": ("Dictionaries", "Dictionary Plan Store"),
    "edits": ("Edits", "Edit Add Set Mix Scale Clamp Project Update Gate Steer Stack Probe Site Weight Where"),
    "reading": ("Where units fire", "Index"),
}
"""Pages of public names of `clew`."""
MORE = {
    "circuit": "circuits.difference.Difference circuits.verdicts.Verdicts circuits.supernode.Supernode "
    "circuits.grouping.grouped",
    "reading": "labels.Labels labels.Label readings.index.index.Context readings.index.index.Band "
    "readings.index.summary.Summary",
    "dictionaries": "dictionaries.packs.pack_labels data.text.texts.wikipedia_leads data.text.texts.read_texts",
    "model": "models.selfcheck.selfcheck models.export.save_pretrained",
}
"""What the guides use beside them."""
CONTENTS = """Every public name of `clew`, and every file that is called by its name.
Arguments come as *model, evidence, claim*, then by keyword."""
ROOMS = {
    "methods": ("Methods", "methods", "Each is what `clew.find(model, behaviour, by=NAME)` calls."),
    "measures": ("Measures", "measures", "Each is what `clew.verify(model, evidence, claim, by=NAME)` calls."),
    "making-edits": ("Ways to make edits", "edits", "Each is what `clew.edit(model, evidence, by=NAME)` calls."),
    "naming": ("Ways to name units", "explain", "Explainers, scorers and floors of `clew.explain`."),
    "showing": ("Pages", "apps/pages", "Results as pages of one file, and such a page in a notebook."),
}
"""Pages of rooms, whose files are called by their names."""


def pages() -> dict[str, str]:
    """By their place in the site."""
    made = {page: _titled(title, _face(page, names.split())) for page, (title, names) in NAMES.items()}
    made |= {page: _titled(title, [f"{said}\n", *_room(room)]) for page, (title, room, said) in ROOMS.items()}
    return {f"api/{page}.md": text for page, text in made.items()} | {"api/index.md": _contents()}


def public() -> set[str]:
    """The public names that have a place."""
    return {name for _, names in NAMES.values() for name in names.split()}


def _titled(title: str, parts: Iterable[str]) -> str:
    return "\n".join([f"# {title}\n", *parts])


def _face(page: str, names: Iterable[str]) -> list[str]:
    homes = {
        name: f"{home}.{'open_model' if name == 'open' else name}"
        for home, held in clew._ROOMS.items()
        for name in held
    }
    more = [f"clew.{name}" for name in MORE.get(page, "").split()]
    return [*(_entry(_defined(homes[name]), f"clew.{name}") for name in names), *(_entry(name, name) for name in more)]


def _defined(path: str) -> str:
    """Where a name is written down that a folder hands on."""
    module, _, name = path.rpartition(".")
    value = getattr(__import__(module, fromlist=[name]), name)
    return f"{value.__module__}.{value.__name__}"


def _room(room: str) -> list[str]:
    """The function or class of each file that bears the file's name, else all that are public, folder by folder."""
    found, folder = list[str](), ""
    for path in sorted((ROOT / "clew" / room).rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        if any(part.startswith("_") for part in path.parts[-3:]):
            continue
        if path.parent.name != folder and path.parent != ROOT / "clew" / room:
            folder = path.parent.name
            found.append(f"\n## {folder.replace('_', ' ').capitalize()} {{: .folder }}\n")
        found += [_entry(f"{module}.{name}", name, level=3) for name in _told(path)]
    return found


def _told(path: Path) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    named = [n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef) and not n.name.startswith("_")]
    return [path.stem] if path.stem in named else named


def _entry(path: str, heading: str, level: int = 2) -> str:
    options = f"    options:\n      heading: {heading}\n      toc_label: {heading}\n      heading_level: {level}\n"
    return f"\n::: {path}\n{options}"


def _contents() -> str:
    lines = [
        f"- [{title}]({page}.md): {', '.join(f'`{name}`' for name in names.split())}"
        for page, (title, names) in NAMES.items()
    ]
    lines += [f"- [{title}]({page}.md). {said}" for page, (title, _, said) in ROOMS.items()]
    return "\n".join(["# Reference\n", CONTENTS, "", *lines, ""])
