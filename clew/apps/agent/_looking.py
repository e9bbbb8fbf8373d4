"""Tools that look: what there is, what a file holds, what a unit, a prompt and a head are like. They write nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from clew.apps._desk.about import about
from clew.apps._desk.asked import AttentionAsked, FiresAsked, PromptAsked
from clew.apps._desk.attention import attention
from clew.apps._desk.desk import Desk
from clew.apps._desk.fires import fires
from clew.apps._desk.prompt import prompt
from clew.apps.agent import _floors
from clew.apps.agent._answers import Attended, Capabilities, Fires, Listed, Prompted, Shown, Unit
from clew.apps.agent._given import Address, Place, View, looked
from clew.apps.agent._shown import SHOWN, show

PROTOCOL = [
    "Ask one question: a behaviour, with clean and patch prompts and a metric.",
    "find on the training half; what it gives is a hypothesis, and its scores are estimates.",
    "verify with by=controls on the held-out half: a circuit counts only as far as it beats random circuits of its size.",
    "Names are claims too: believe one whose score lies above its floor by more than its interval.",
    "Try an edit first (apply=false), beside the same edit at random units; apply=true saves a file, no model is changed.",
    "Report each number with its interval, split and floor and with the evidence id; where there is no floor, say why.",
    "What did not hold is a result as well.",
]


@dataclass(frozen=True)
class Looking:
    """Each method is a tool of its name."""

    desk: Desk

    def capabilities(self) -> Capabilities:
        """What there is to work with: models, behaviours, methods, measures, edits and explainers, what each verb takes, and
        how a claim is made here that holds. Call it first."""
        return Capabilities(
            looked(self.capabilities, "what is installed and in the folder"),
            next=["items: what the folder holds already", "find: the circuit behind a behaviour"],
            about=about(self.desk),
            protocol=PROTOCOL,
        )

    def items(self) -> Listed:
        """What the folder holds, by path: circuits, reports, edits, labels, indexes, behaviours, dictionaries and models."""
        found = self.desk.items.every()
        return Listed(
            looked(self.items, f"the folder, {len(found)} items"),
            notes=[f"{item.path}: {item.problem}" for item in found if item.problem],
            next=["show: what one of them holds" if found else "find: the circuit behind a behaviour"],
            items=found,
        )

    def show(self, path: Place, top: Annotated[int, Field(ge=1, le=500)] = SHOWN) -> Shown:
        """What a file holds: of a circuit the strongest nodes with their names, of a report all rows, of edits and labels
        what they say; each number with its interval and floor, and the evidence that all of it rests on."""
        return show(self.desk, path, top)

    def unit(self, view: View, address: Address) -> Unit:
        """What is known of a unit: its names with scores and floors, the tokens that it raises and lowers, where it fires,
        which units are near it, and in which circuits of the folder it stands."""
        found = self.desk.units.unit(self.desk.views.open(view), address)
        numbers = [n for label in found.labels for n in _floors.of_label(found.address, label.scores)]
        if found.density is not None:
            numbers.append(_floors.plain(f"density of {found.address}", found.density))
        said = "the dictionary that it is of, and the indexes, labels and circuits of the folder"
        return Unit(looked(self.unit, said, view=view, address=address), numbers, list(found.why.values()), unit=found)

    def fires(self, view: View, address: Address, text: str) -> Fires:
        """Where a unit fires in a text of yours: what it does at each token."""
        opened = self.desk.views.open(view)
        found = fires(opened, FiresAsked(opened.id, address, text))
        numbers = [_floors.plain(f"largest value of {address}", max(found.values), n=len(found.tokens))]
        grounds = looked(self.fires, "the text", text, view=view, address=address, text=text)
        return Fires(grounds, numbers, [_floors.DESCRIBES], fires=found)

    def prompt(self, view: View, text: str, top: Annotated[int, Field(ge=1, le=50)] = 5) -> Prompted:
        """What a model makes of a prompt: the likeliest next tokens, the units that fire at each position, and what the logit
        lens reads after each block."""
        opened = self.desk.views.open(view)
        found = prompt(opened, PromptAsked(opened.id, text, top))
        numbers = [_floors.plain(f"p of {one.token!r} next", one.p, n=1) for one in found.next]
        grounds = looked(self.prompt, "the prompt", text, view=view, text=text, top=top)
        return Prompted(grounds, numbers, [_floors.DESCRIBES], prompt=found)

    def attention(self, view: View, text: str, layer: int, head: int) -> Attended:
        """Where a head looks in a text: its attention pattern, and the size of what it takes from each token."""
        opened = self.desk.views.open(view)
        found = attention(opened, AttentionAsked(opened.id, text, layer, head))
        grounds = looked(self.attention, "the text", text, view=view, text=text, layer=layer, head=head)
        return Attended(grounds, notes=[_floors.DESCRIBES], attention=found)
