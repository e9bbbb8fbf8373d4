"""Tools that run long, and what is asked of a run. Each answer holds the handle of a run, and its result once it is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from clew.apps._desk.desk import Desk
from clew.apps._desk.runs import OVER
from clew.apps.agent._answers import Runs, Worked
from clew.apps.agent._given import AllPairs, Examples, Name, Options, Place, View, Wait, args, looked
from clew.apps.agent._work import begin, told, waited


@dataclass(frozen=True)
class Working:
    """Each method is a tool of its name."""

    desk: Desk

    def find(
        self,
        view: View,
        behaviour: Annotated[str, Field(description="Its name, or the path of a file of prompt pairs.")],
        by: Annotated[str, Field(description="The method.")] = "integrated_gradients",
        options: Options = None,
        examples: Examples = None,
        all_pairs: AllPairs = False,
        top: Annotated[int | None, Field(ge=0, description="Nodes that are kept, 100 by default; 0 for all.")] = None,
        edges: Annotated[bool, Field(description="Also weigh the edges between the nodes, then 60 at most.")] = False,
        name: Name = None,
        wait: Wait = 5.0,
    ) -> Worked:
        """Find the circuit behind a behaviour: the units of the view, scored by their part in it on the training half. The
        result is a circuit, which is a hypothesis until it is verified."""
        given = args(behaviour=behaviour, by=by, options=options, examples=examples, all_pairs=all_pairs, edges=edges)
        kept = {} if top is None else {"top": top}
        return begin(self.desk, "find", view, {**given, **kept}, name, wait)

    def verify(
        self,
        view: View,
        circuit: Annotated[
            str | None, Field(description="The path of a circuit; or give edits, or dictionaries.")
        ] = None,
        edits: Annotated[list[str] | None, Field(description="Paths of files of edits.")] = None,
        dictionaries: Annotated[list[str] | None, Field(description="Packs, or paths of dictionaries.")] = None,
        behaviour: Annotated[str | None, Field(description="What it is measured on; or give texts.")] = None,
        texts: Annotated[list[str] | None, Field(description="Paths of texts, or wikipedia.")] = None,
        by: Annotated[str | None, Field(description="The measure; of a circuit controls, which has a floor.")] = None,
        options: Options = None,
        examples: Examples = None,
        all_pairs: AllPairs = False,
        wait: Wait = 5.0,
    ) -> Worked:
        """Measure a circuit, edits or dictionaries on evidence that was held out, with intervals, beside what chance gives.
        The result is a report."""
        claim = args(circuit=circuit, edits=edits, dictionaries=dictionaries)
        on = args(behaviour=behaviour, texts=texts, options=options, examples=examples, all_pairs=all_pairs)
        measure = args(by=by or ("controls" if circuit else None))
        return begin(self.desk, "verify", view, {**claim, **on, **measure}, None, wait)

    def index(
        self,
        view: View,
        texts: Annotated[list[str], Field(min_length=1, description="Paths of texts in the folder, or wikipedia.")],
        tokens: Annotated[int | None, Field(ge=1, description="How much of them.")] = None,
        name: Name = None,
        wait: Wait = 5.0,
    ) -> Worked:
        """Read a text and write down where every unit of the view fires; `explain` needs it. The result is an index."""
        return begin(self.desk, "index", view, args(texts=texts, tokens=tokens), name, wait)

    def explain(
        self,
        index: Annotated[str, Field(description="The path of an index.")],
        circuit: Annotated[
            str | None, Field(description="The path of a circuit whose units are named; or give units.")
        ] = None,
        units: Annotated[list[str] | None, Field(description="Addresses, such as resid.3/17.")] = None,
        by: Annotated[str, Field(description="The explainer.")] = "rules",
        floors: Annotated[list[str] | None, Field(description="What is scored beside; shuffled by default.")] = None,
        options: Options = None,
        name: Name = None,
        wait: Wait = 5.0,
    ) -> Worked:
        """Name units by what they fire on, tested on documents that the names were not made from, beside a floor. The result
        is the circuit with names; for units the names are kept in the index, and `unit` tells them."""
        given = args(index=index, circuit=circuit, units=units, by=by, floors=floors, options=options)
        return begin(self.desk, "explain", None, given, name, wait)

    def group(
        self,
        circuit: Place,
        view: Annotated[View | None, Field(description="With behaviour: try whether each group acts as one.")] = None,
        behaviour: Annotated[str | None, Field(description="With view: what they are tried on.")] = None,
        similar: Annotated[float, Field(ge=0, le=1, description="How alike two members are at least.")] = 0.5,
        examples: Examples = None,
        all_pairs: AllPairs = False,
        wait: Wait = 5.0,
    ) -> Worked:
        """Put the nodes of a circuit with edges into supernodes by what they read and write. The result is a copy with
        groups; with view and behaviour those alone that act as one."""
        given = args(circuit=circuit, behaviour=behaviour, examples=examples, all_pairs=all_pairs)
        return begin(self.desk, "group", view, {**given, "similar": similar}, None, wait)

    def replicate(self, path: Place, wait: Wait = 5.0) -> Worked:
        """Run a saved circuit, report or file of edits again from its record. The result says number by number
        what is the same, within its interval, or differs, and what cannot be run again and why."""
        return begin(self.desk, "replicate", None, {"path": path}, None, wait)

    def runs(self) -> Runs:
        """All runs of the folder, the latest first."""
        return Runs(looked(self.runs, "the runs of the folder"), runs=self.desk.runs.every())

    def run(self, id: str, wait: Wait = 20.0) -> Worked:
        """How far a run is, and what came of it once it is done."""
        return told(self.desk, waited(self.desk, id, wait))

    def cancel(self, id: str) -> Worked:
        """End a run at its next step; what it has by then is kept where it can be."""
        if (state := self.desk.runs.get(id).state) in OVER:
            raise ValueError(f"the run {id} is {state} already; `run` tells what came of it")
        self.desk.runs.cancel(id)
        return told(self.desk, waited(self.desk, id, 10.0))

    def resume(self, id: str, wait: Wait = 5.0) -> Worked:
        """Take up a run that was stopped, was cancelled or has failed."""
        return told(self.desk, waited(self.desk, self.desk.runs.resume(id).id, wait))
