"""clew edit: compute a change of a model, save it, and see what it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from clew.apps.cli._evidence import Evidence, Text, Way, as_evidence, only_one, stack_of
from clew.apps.cli._groups import Asked, Machine, View, unfolded
from clew.apps.cli._options import options_of
from clew.apps.cli._terminal import Json, Several, aside, following, say


@as_evidence
@dataclass(frozen=True)
class Given(Evidence):
    """What an edit is computed from, beside a behaviour."""

    prompt: str | None = None
    """A statement with {} where the subject goes, as in "The capital of {} is"."""
    subject: str | None = None
    """What it is about."""
    target: str | None = None
    """What the model shall say instead."""
    old: str = ""
    """What it says now; measures of the edit need it."""
    circuit: Path | None = None
    """What `clew find` saved."""

    def ways(self) -> dict[str, Way]:
        """As for any evidence, with a fact that is typed and a circuit."""
        return {
            "--prompt": self.fact if self.prompt else None,
            **super().ways(),
            "--circuit": partial(_circuit, self.circuit) if self.circuit else None,
        }

    def check(self) -> None:
        """Raises: ValueError for a fact that lacks a part."""
        stated = {"--prompt": self.prompt, "--subject": self.subject, "--target": self.target}
        missing = [name for name, value in stated.items() if not value]
        if 0 < len(missing) < len(stated):
            raise ValueError(f"a fact has a prompt, a subject and a target; not given: {' and '.join(missing)}")

    def fact(self, _: Any) -> Any:
        """The one that is typed."""
        from clew.data.facts.facts import Facts

        return Facts.one(str(self.prompt), str(self.subject), str(self.target), self.old)

    def typed(self) -> str:
        """As it is typed for `clew verify`."""
        if self.facts:
            return f"--facts {self.facts}"
        return f"--secrets {self.secrets}" if self.secrets else "--text FILE"


@as_evidence
@dataclass(frozen=True)
class Ordinary(Text):
    """Ordinary text, which an edit should leave as it is."""

    text: Annotated[tuple[str, ...], Several] = ()
    """Ordinary text, for the budget and for edits that take statistics of some: files or folders, `wikipedia`; or `none`,
    where an edit that asks for some shall go without."""
    tokens: Annotated[int | None, Parameter(name="--text-tokens")] = 20_000
    """How much of it."""
    context: int = 64
    """Longest window of it in tokens."""
    budget: float | None = None
    """How much the loss on the text may rise, as a share of it; the edit is made weaker until that holds."""


@unfolded
@dataclass(frozen=True)
class Upon:
    """The model that the edit is made for."""

    through: Annotated[tuple[Path, ...], Several] = ()
    """The dictionaries through which the model is seen."""
    on: Annotated[tuple[Path, ...], Several] = ()
    """Files of edits that are in force already; the new one is made upon them, and saved without them."""

    def open(self, model: str, machine: Machine) -> Any:
        """That model, seen so and with these edits in force."""
        view = View(self.through).open(model, machine)
        if not self.on:
            return view
        edited = view.edited(stack_of(self.on, view))
        aside(f"made upon the edits of {', '.join(map(str, self.on))}, which are not saved with it")
        return edited


@unfolded
@dataclass(frozen=True)
class Tried:
    """What the model writes before and after."""

    tries: Annotated[
        tuple[str, ...], Parameter(name="--try", consume_multiple=True, negative="", show_default=False)
    ] = ()
    """Prompts to continue, before and after."""
    max_new_tokens: int = 20
    """How long the continuations are."""


@options_of("edits", {"--facts": "rome", "--prompt": "rome", "--secrets": "revs", "--circuit": "shift"})
def edit(
    model: str,
    behaviour: str | None = None,
    /,
    *,
    by: str = "mean_difference",
    given: Given = Given(),
    upon: Upon = Upon(),
    ordinary: Ordinary = Ordinary(),
    tried: Tried = Tried(),
    out: Path = Path("edit.safetensors"),
    asked: Asked = Asked(),
    machine: Machine = Machine(),
    json: Json = False,
    **options: Any,
) -> None:
    """Compute an edit from evidence and save it; the model itself is never changed. More options come from the edit:
    `clew edit --by NAME --help`.

    The evidence is one of: a behaviour, --prompt with --subject and --target, --facts, --secrets, --labelled, --circuit; or
    none, for an edit that needs none (`unit`, `scale_head`).

    Parameters
    ----------
    model
        A bundled name (`clew models`), a folder, a GGUF file or a hub id.
    behaviour
        A bundled name (`clew behaviours`) or a file; steering goes towards its clean prompts.
    by
        How it is computed: a file of clew/edits. For facts rome, for secrets revs, for a circuit shift by default.
    out
        Where to save it.
    """
    if ordinary.budget is not None and not ordinary.text:
        raise ValueError("a budget is held on a text; give --text FILE, or --text wikipedia")
    given.check()
    ways = {"BEHAVIOUR": partial(asked.behaviour, behaviour) if behaviour else None, **given.ways()}
    load = only_one(ways, "as `clew edit --help` says") if any(ways.values()) else None
    view = upon.open(model, machine)
    stack = _computed(view, load and load(view), by, ordinary, options, f"{by.replace('_', ' ')} on {model}")
    stack.save(out)
    edited = view.edited(stack)
    shown = [_tried(view, edited, prompt, tried.max_new_tokens) for prompt in tried.tries]
    lines = [str(stack), f"saved as {out}"]
    for one in shown:
        lines += ["", f"before  {one['before']}", f"after   {one['after']}", *(f"        {r}" for r in one["receipts"])]
    value = {
        "edit": str(out),
        "by": by,
        "name": stack.name,
        "edits": [str(e) for e in stack],
        "about": dict(stack.about),
    }
    say("\n".join(lines), {**value, "tries": shown}, json)
    if not json:
        edits = " ".join(map(str, [*upon.on, out]))
        words = ["clew verify", model, behaviour or given.typed(), "--edit", edits, *View(upon.through).typed()]
        aside(f"next: {' '.join(words)}")


def _circuit(path: Path, _: Any) -> Any:
    import clew

    return clew.Circuit.load(path)


def _computed(view: Any, evidence: Any, by: str, ordinary: Ordinary, options: dict[str, Any], what: str) -> Any:
    """The edit, saying how far it is where it can tell."""
    import clew
    from clew.finder import load

    text = {} if not ordinary.text else {"text": None if ordinary.text == ("none",) else ordinary.windows(view)}
    with following(what, clew.edit if ordinary.budget is not None else load("edits", by)) as told:
        return clew.edit(view, evidence, by=by, **text, budget=ordinary.budget, **options, **told)


def _tried(before: Any, after: Any, prompt: str, length: int) -> dict[str, Any]:
    """What both models write, and where the edits were at work."""
    from clew.models import EditDidNotFire

    def written(model: Any) -> tuple[str, Sequence[Any]]:
        try:
            made = model.generate(prompt, max_new_tokens=length)
        except EditDidNotFire as error:
            return f"not run: {error}", ()
        return made.texts[0], made.receipts

    text, receipts = written(after)
    return {"prompt": prompt, "before": written(before)[0], "after": text, "receipts": [str(r) for r in receipts]}
