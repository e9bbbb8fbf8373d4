"""clew show: a circuit or an atlas as a web page that needs nothing else; a file of edits in words."""

from __future__ import annotations

import webbrowser
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from clew.apps._cards import strongest, table
from clew.apps.cli._evidence import named_texts
from clew.apps.cli._groups import Machine, View
from clew.apps.cli._terminal import Flag, Json, Several, aside, say, working

ATLAS = "atlas.json"
SOURCES = Parameter(consume_multiple=True, negative="--no-contexts", show_default=False)


def show(
    circuit: Path | None = None,
    /,
    *,
    edit: Path | None = None,
    report: Path | None = None,
    model: str | None = None,
    text: Annotated[tuple[str, ...], Several] = (),
    contexts: Annotated[tuple[str, ...] | None, SOURCES] = None,
    view: View = View(),
    machine: Machine = Machine(),
    out: Path | None = None,
    open: Flag = False,
    json: Json = False,
) -> None:
    """Write a circuit or an atlas as one HTML file, which opens anywhere and fetches nothing; or tell a file of edits.

    Parameters
    ----------
    circuit
        What `clew find` saved, or the folder of an atlas that `clew atlas` made.
    edit
        What `clew edit` saved, or a vector file of another tool: sites, norms, estimator, where it comes from.
    report
        What `clew verify --out` saved: its curve is drawn beside the graph. By default `report.json` in the circuit's
        folder, where it judges this circuit.
    model
        Look in this model what the units fire on and promote, in the view in which the circuit was found. What
        `clew find` saves says so already, for the prompts of the behaviour.
    text
        With --model: what to read, beside the prompts: files or folders, `wikipedia`.
    contexts
        Of an atlas: the sources whose contexts may be in the page, as where a text must not be passed on; all by default.
        --no-contexts is for none.
    out
        The page; beside the circuit or the atlas and of its name by default.
    open
        Open it in the browser.
    """
    if (circuit is None) == (edit is None):
        raise ValueError("give a circuit, or a file of edits as --edit FILE; one of the two")
    if circuit is None:
        _say_edit(edit, json)
        return
    if circuit.name == ATLAS or (circuit / ATLAS).is_file():
        if report or model or text or view:
            raise ValueError(f"{circuit} is an atlas; --report, --model, --text and a view are for a circuit")
        _write_atlas(circuit, contexts, out, open, json)
        return
    if contexts is not None:
        raise ValueError(f"--contexts is for an atlas, and {circuit} is a circuit")
    if (text or view) and model is None:
        raise ValueError("--text and a view are for a model to look at; name it by --model")
    from clew.apps._beside import report_beside
    from clew.apps.pages.circuit import page
    from clew.circuits.circuit import Circuit
    from clew.files import write_text
    from clew.report import Report

    shown = Circuit.load(circuit)
    shown = shown if model is None else _looked_at(view.open(model, machine), shown, text)
    told, path = Report.load(report) if report else report_beside(shown, circuit), out or circuit.with_suffix(".html")
    if told is None and path.exists():
        aside(f"{path} is replaced by a page without a chart; --report FILE draws what clew verify --out saved")
    said = page(shown, told)
    write_text(path, said)
    if "top_tokens" not in shown.details and len(shown):
        aside("nothing is known of what its units fire on; --model NAME, with the view it was found in, looks")
    lines = f"saved as {path}\n{table(shown)}".rstrip()
    say(lines, {"page": str(path), "bytes": len(said.encode()), "strongest": strongest(shown)}, json)
    if open:
        webbrowser.open(path.resolve().as_uri())


def _write_atlas(path: Path, contexts: Sequence[str] | None, out: Path | None, open: bool, json: bool) -> None:
    from clew.apps._browsed import words
    from clew.apps.pages.atlas import atlas_page
    from clew.files import write_text
    from clew.studies.atlas.atlas import Atlas

    atlas = Atlas.load(path)
    out = out or (path if path.is_dir() else path.parent) / "atlas.html"
    said = atlas_page(atlas, shown=contexts)
    write_text(out, said)
    counted = {"behaviours": len(atlas), "circuits": sum(one.circuit is not None for one in atlas)}
    say(f"saved as {out}\n{words(atlas)}", {"page": str(out), "bytes": len(said.encode()), **counted}, json)
    if open:
        webbrowser.open(out.resolve().as_uri())


def _looked_at(view: Any, circuit: Any, text: Sequence[str]) -> Any:
    """The circuit with what its units fire on and promote: in its prompts, if they can be loaded, and the text.

    Raises: ValueError where there is neither.
    """
    import clew
    from clew.explain.top_tokens import top_tokens

    asked = circuit.provenance.get("prompts") or {}
    try:
        prompts = clew.Behaviour.load(asked.get("source") or asked.get("name", ""), model=view).prompts()
    except (ValueError, OSError) as error:
        if not text:
            raise ValueError(f"the prompts it was found on cannot be read again ({error}); give --text") from error
        prompts = []
    with working("reading what the units fire on"):
        return top_tokens(view, circuit, chain(prompts, *map(named_texts, text)))


def _say_edit(path: Any, json: bool) -> None:
    from clew.stack import Stack

    stack = Stack.load(path)
    value = {"name": stack.name, "edits": [str(edit) for edit in stack], "about": dict(stack.about)}
    parts = stack.provenance.get("parts", [stack.provenance])
    lines = [str(stack), *(line for part in parts for line in _origin(part))]
    say("\n".join(lines), {**value, "provenance": dict(stack.provenance)}, json)


def _origin(record: Mapping[str, Any]) -> list[str]:
    """Where edits come from, a line each; nothing where the file does not say."""
    view = record.get("dictionaries") or {}
    seen = view if len(view) <= 4 else f"{len(view)} dictionaries, {min(view)} and others"
    said = {
        "made by": _named(record, "method", "options"),
        "for": _named(record, "model", "weights"),
        "from": _named(record, "evidence", "evidence_hash")
        or _named(record, "behaviour", "prompts")
        or _named(record, "labelled", "texts"),
        "seen through": seen,
        "upon": record.get("edits"),
        "versions": record.get("versions"),
    }
    return [f"  {what}: {_flat(value)}" for what, value in said.items() if value]


def _named(record: Mapping[str, Any], name: str, more: str) -> str:
    return f"{record[name]} ({_flat(record.get(more))})" if name in record else ""


def _flat(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={held}" for key, held in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
