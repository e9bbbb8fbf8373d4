"""Tools that change something: each tries first and writes only where it is told to; no model is ever changed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Annotated

from pydantic import Field

from clew.apps._desk.asked import ChangeAsked, LabelAsked, RunAsked, SaveAsked
from clew.apps._desk.change import save
from clew.apps._desk.desk import Desk
from clew.apps._desk.plans.plan import plan_of
from clew.apps.agent._answers import Changed, Planned
from clew.apps.agent._changes import changed
from clew.apps.agent._given import (
    Address,
    AllPairs,
    Apply,
    Edits,
    Examples,
    Name,
    Options,
    Place,
    View,
    Wait,
    args,
    looked,
    repeated,
)
from clew.apps.agent._shown import show
from clew.apps.agent._work import begin

DRY = "a dry run: nothing was written; apply=true does it"
UNTESTED = "words that a person or an agent writes down are not tested; `explain` makes names that are, beside a floor"
Fact = Annotated[
    dict[str, str] | None,
    Field(description="As {prompt: The capital of {} is, subject: France, target: Rome, old: Paris}."),
]


@dataclass(frozen=True)
class Changing:
    """Each method is a tool of its name."""

    desk: Desk

    def change(
        self,
        view: View,
        edits: Edits,
        prompt: str,
        behaviour: Annotated[str | None, Field(description="Also measure its metric on held-out prompts.")] = None,
        tokens: Annotated[int, Field(ge=0, description="How many tokens are written.")] = 20,
    ) -> Changed:
        """What edits do, before and after: the continuation of a prompt, its next tokens, and with a behaviour its metric on
        held-out prompts, beside the same change at random units. Nothing is saved."""
        opened = self.desk.views.open(view)
        command = repeated("change", view=view, edits=edits, prompt=prompt, behaviour=behaviour, tokens=tokens)
        return changed(self.desk, opened, ChangeAsked(opened.id, edits, prompt, behaviour, tokens), command)

    def edit(
        self,
        view: View,
        edits: Edits,
        prompt: Annotated[str, Field(description="What it is tried on first.")],
        name: Annotated[str, Field(description="The edits are saved as NAME.safetensors.")],
        behaviour: Annotated[str | None, Field(description="Also measure its metric on held-out prompts.")] = None,
        apply: Apply = False,
    ) -> Changed:
        """Edits by hand: units set to zero, scaled or set, directions added. A dry run unless apply=true: it says what they
        do, as `change` does, and writes nothing. Applied, they are saved as a file."""
        tried = self.change(view, edits, prompt, behaviour)
        command = repeated("edit", view=view, edits=edits, prompt=prompt, name=name, behaviour=behaviour, apply=apply)
        tried = replace(tried, grounds=replace(tried.grounds, command=command))
        if not apply:
            return replace(tried, notes=[*tried.notes, DRY])
        opened = self.desk.views.open(view)
        item = save(opened, self.desk.folder, self.desk.items, SaveAsked(opened.id, edits, name))
        after = [f"verify with edits [{item.path}]: what they change and what they cost"]
        return replace(tried, applied=True, saved=item.path, next=after)

    def compute_edit(
        self,
        view: View,
        by: Annotated[str, Field(description="How it is computed; `capabilities` lists the edits.")],
        behaviour: Annotated[
            str | None, Field(description="What it is computed from; or give a fact, or a circuit.")
        ] = None,
        fact: Fact = None,
        circuit: Annotated[str | None, Field(description="The path of a circuit.")] = None,
        options: Options = None,
        examples: Examples = None,
        all_pairs: AllPairs = False,
        name: Name = None,
        apply: Apply = False,
        wait: Wait = 5.0,
    ) -> Planned:
        """An edit that is computed: a steering vector, a rewritten fact, a circuit taken out. A dry run unless apply=true:
        the request is checked and its command said. Applied, a run computes and saves it."""
        given = args(
            by=by, behaviour=behaviour, circuit=circuit, options=options, examples=examples, all_pairs=all_pairs
        )
        every = {**given, **(fact or {})}
        if not apply:
            asked, plan = plan_of(
                self.desk.folder, self.desk.views, RunAsked("edit", args(**asdict(view), **every), name), False
            )
            grounds = replace(looked(self.compute_edit, "nothing was run"), command=plan.command)
            return Planned(grounds, notes=[DRY], title=plan.title, path=asked.name)
        worked = begin(self.desk, "edit", view, every, name, wait)
        return Planned(worked.grounds, worked.numbers, worked.notes, worked.next, True, "", worked=worked)

    def label(self, path: Place, address: Address, text: str, apply: Apply = False) -> Planned:
        """Write your own words on a unit into a circuit's file, as a person's. A dry run unless apply=true."""
        there = {node.address.partition("@")[0] for node in show(self.desk, path, 500).nodes}
        if address.partition("@")[0] not in there:
            raise ValueError(f"{path} has no node {address}; `show` lists its nodes")
        if apply:
            self.desk.units.label(LabelAsked(address, text, path))
        grounds = looked(self.label, "your words", text, path=path, address=address, text=text, apply=apply)
        return Planned(
            grounds, notes=[UNTESTED, *[DRY] * (not apply)], applied=apply, title=f"{address}: {text}", path=path
        )
