"""clew find: the circuit behind a behaviour."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

from clew.apps._cards import strongest, table
from clew.apps._starts import check_start
from clew.apps.cli._evidence import named_texts
from clew.apps.cli._groups import Asked, Machine, View, unfolded
from clew.apps.cli._options import options_of
from clew.apps.cli._terminal import Flag, Json, Several, aside, following, say, telling, working
from clew.progress import Stopped


@unfolded
@dataclass(frozen=True)
class Chosen:
    """What of the circuit is kept."""

    top: int | None = None
    """Keep this many nodes, or edges of a search over components; 0 keeps all. 100 where it is not given, but for graphs
    of one prompt, which come pruned."""
    select: str = "top"
    """How they are chosen: top, ratio, greedy, ilp (a file of clew/circuits/selection); with options as in ratio:rho=0.7,
    and one after the other as in bootstrap+greedy."""
    rho: float = 0.5
    """For `ratio`: the share that is chosen by largest positive score."""
    significant: float | None = None
    """First leave out what does not keep its sign over the prompts with this confidence, such as .95."""
    empty: Flag = False
    """Save the circuit also if nothing is left in it."""

    def choice(self) -> Callable[[Any], tuple[Any, str]]:
        """What keeps that much of a circuit, and says why where it keeps less than was asked for.

        Raises: ValueError for what cannot be chosen by, before anything is run; from what it returns, where nothing is left.
        """
        if self.top is not None and self.top < 0:
            raise ValueError(f"--top is {self.top}; give the number of nodes or edges to keep, or 0 for all")
        select = _selection(self.select, self.rho)

        def choose(found: Any) -> tuple[Any, str]:
            from clew.finder import load

            sizes = [_size(found)]
            if self.significant is not None:
                found = load("circuits.selection", "bootstrap")(found, confidence=self.significant)
            sizes.append(_size(found))
            top = self.top if self.top is not None else 0 if found.kind.prompt else 100
            if top or self.select != "top":
                found = select(found, top or max(len(found), len(found.weight)))
            sizes.append(_size(found))
            why = self._why(sizes, top, "edges" if found.kind.by_edges else "nodes")
            if not sizes[-1] and not self.empty:
                raise ValueError(f"nothing is left to save: {why}. Give --empty to save it all the same")
            return found, why if sizes[-1] < (self.top or 0) or not sizes[-1] else ""

        return choose

    def _why(self, sizes: Sequence[int], top: int, items: str) -> str:
        """Where the items went: how many were scored, kept their sign, and were chosen."""
        scored, sure, chosen = sizes
        said = [f"{chosen} of {top or 'all'} {items}", f"{scored} were scored"]
        if self.significant is not None:
            said.append(f"{sure} of them keep their sign with a confidence of {self.significant:g}")
        if chosen < min(sure, top or sure):
            said.append(f"{self.select} leaves out what lies on no path to the metric")
        return "; ".join(said)


@unfolded
@dataclass(frozen=True)
class About:
    """What else is found out about the circuit."""

    tried: int = 20
    """Of a graph whose numbers are effects on the metric, ablate this many of the strongest nodes or edges on eight prompts
    and say whether they do what it predicts; 0 for none."""
    text: Annotated[tuple[str, ...], Several] = ()
    """Text to read, beside the behaviour's prompts, for what the units fire on: files or folders, `wikipedia`."""
    explain: str | None = None
    """Where the names of units come from: a pack, a file of labels, or an index, by which units that have no label yet are
    explained."""

    def names(self, found: Any) -> Any:
        """The circuit with names; how many of its units have one is said."""
        from clew.apps.cli._names import named

        found, said = named(found, str(self.explain))
        aside(said)
        return found

    def check(self) -> None:
        """Raises: ValueError where names are to come from what has none, before anything takes long."""
        if self.explain is not None:
            from clew.apps.cli._names import names_of

            names_of(self.explain)

    def tokens(self, view: Any, found: Any, task: Any) -> Any:
        """The circuit with what its units fire on in the prompts and the text, and what they promote."""
        from clew.explain.top_tokens import top_tokens

        try:
            with working("reading what the units fire on"):
                return top_tokens(view, found, chain(task.prompts(), *map(named_texts, self.text)))
        except ValueError as error:
            aside(f"what the units fire on is not known: {error}")
            return found


@dataclass(frozen=True)
class Sought(Asked):
    """What the circuit is searched for on."""

    all_examples: Flag = False
    """Use every example, not only the training half; then nothing is left to verify on."""


@options_of("methods")
def find(
    model: str,
    behaviour: str,
    /,
    *,
    by: str = "integrated_gradients",
    circuit: Path | None = None,
    chosen: Chosen = Chosen(),
    out: Path = Path("circuit.json"),
    about: About = About(),
    view: View = View(),
    asked: Sought = Sought(),
    machine: Machine = Machine(),
    json: Json = False,
    **options: Any,
) -> None:
    """Find the circuit behind a behaviour and save it. More options come from the method: `clew find --by NAME --help`.

    Parameters
    ----------
    model
        A bundled name (`clew models`), a folder, a GGUF file or a hub id.
    behaviour
        A bundled name (`clew behaviours`) or a file.
    by
        The method: a file of clew/methods.
    circuit
        A saved circuit whose nodes are scored or wired, for methods that take one.
    out
        Where to save the circuit.
    """
    choose, nodes = chosen.choice(), _nodes(by, circuit)
    about.check()
    seen = view.open(model, machine)
    import clew
    from clew.evidence import half
    from clew.finder import load
    from clew.measures.circuits.predicted_effects import with_predicted_effects

    task, held_out = asked.behaviour(behaviour, seen), not asked.all_examples
    stopped = None
    with following(f"{by.replace('_', ' ')} on {behaviour}", load("methods", by)) as told:
        try:
            found = clew.find(seen, task, nodes, by=by, held_out=held_out, **options, **told)
        except Stopped as caught:  # what it had learned by then is kept as it is
            found, stopped = caught.result, caught
    found, why = choose(found)
    if len(found.weight) and about.tried and not stopped:
        with telling("trying what it predicts") as tell:
            found = with_predicted_effects(seen, half(task, "train", held_out), found, nodes=about.tried, progress=tell)
    found = about.tokens(seen, found, task)
    found.save(out)
    if about.explain is not None:
        found = about.names(found)
        found.save(out)
    if why:
        aside(f"kept {why}")
    shown, value = _summary(found)
    said = f"{len(found)} nodes and {len(found.weight)} edges, saved as {out}\n{shown}".rstrip()
    say(said, {**value, "circuit": str(out)}, json)
    if stopped:
        raise stopped
    if not json:
        for doubt in _doubts(found, task, seen) if len(found) else ():
            aside(doubt)
        words = ["clew verify", model, behaviour, str(out), *view.typed(), *asked.typed()]
        aside(f"next: {' '.join(words)}, or clew show {out}")


def _summary(found: Any) -> tuple[str, dict[str, Any]]:
    """The strongest of a circuit and how well their effects were predicted, for people and for machines."""
    lines, effects = [table(found)] if _size(found) else [], found.details.get("predicted_effects")
    if effects:
        told = (f"{name} {'unknown' if effects[name] is None else f'{effects[name]:.2f}'}" for name in ("r", "slope"))
        lines.append(f"  predicted against intervened effects of the strongest: {', '.join(told)}")
    sizes = {"nodes": len(found), "edges": len(found.weight)}
    return "\n".join(lines), {"predicted_effects": effects, **sizes, "strongest": strongest(found)}


def _doubts(found: Any, task: Any, seen: Any) -> Iterator[str]:
    """What to know before such a circuit is verified: errors that hold most of it, and positions that were summed."""
    from clew.circuits.circuit import ANYWHERE, ERROR

    size = abs(found.score)
    if found.kind.of == "units" and (share := size[found.unit == ERROR].sum() / (size.sum() or 1)) > 0.5:
        yield (
            f"error nodes hold {share:.0%} of all |score|: the dictionaries leave much of this behaviour out, so other ones, "
            "or more sites, may explain it better"
        )
    summed = len(found) and bool((found.position == ANYWHERE).all()) and not task.aligned and not found.kind.by_edges
    if summed and len({batch.clean.shape[1] for batch in task.batches(seen)}) == 1:
        yield "the prompts have one length; where a position means the same in all, --positions tells nodes apart by it"


def _size(found: Any) -> int:
    """How many items a circuit is chosen by: nodes, or edges of components."""
    return len(found.weight) if found.kind.by_edges else len(found)


def _selection(name: str, rho: float) -> Callable[[Any, int], Any]:
    """How to choose n: nodes of a circuit of a view, edges of one of components."""
    from clew.studies.comparison.selections import selection

    select = selection(f"ratio:rho={rho}" if name == "ratio" else name)

    def choose(found: Any, n: int) -> Any:
        return found.top(n) if name == "top" and not found.kind.by_edges else select(found, n)

    return choose


def _nodes(by: str, path: Path | None) -> Any:
    """The circuit to start from, checked against whether the method takes one."""
    from clew.circuits.circuit import Circuit

    check_start(by, path, "--circuit")
    return Circuit.load(path) if path else None
