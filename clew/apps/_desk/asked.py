"""What is asked of the desk. Frozen values, whose fields are what a request, or a tool of an agent, may hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

STRICT = {"extra": "forbid", "allow_inf_nan": False}
"""How whoever validates a request shall do it: no field that is unknown, no number that is none."""
Verb = Literal["find", "verify", "edges", "explain", "index", "edit", "group", "replicate"]


@dataclass(frozen=True)
class ViewAsked:
    """A model, and what its units are: features of dictionaries, neurons of sites, heads, components; or plain neurons."""

    __pydantic_config__ = STRICT

    model: str
    """A bundled name, a path in the folder, or what `--model` allowed when the studio was started."""
    through: list[str] = field(default_factory=list)
    """Dictionaries: a pack by its name, or paths in the folder."""
    layers: list[int] = field(default_factory=list)
    """Of those, the ones at these layers; all by default."""
    neurons: list[str] = field(default_factory=list)
    """Sites such as resid.3, whose single coordinates are the units."""
    heads: bool = False
    components: bool = False


@dataclass(frozen=True)
class LabelAsked:
    """A person's words on a unit. They go into the circuit at `path`, or into the index at `index`; one of the two."""

    __pydantic_config__ = STRICT

    address: str
    text: str
    path: str | None = None
    index: str | None = None
    tag: str | None = None
    """Of the circuit, as it was read; it must still be that one."""


@dataclass(frozen=True)
class FiresAsked:
    """Where a unit fires in a text."""

    __pydantic_config__ = STRICT

    view: str
    address: str
    text: str


@dataclass(frozen=True)
class PromptAsked:
    """What a model makes of a prompt: the next token, the units that fire, the lens at each site."""

    __pydantic_config__ = STRICT

    view: str
    text: str
    top: int = 5
    """So many tokens and units at each place, from 1 to 50."""


@dataclass(frozen=True)
class AttentionAsked:
    """The attention pattern of a head on a text."""

    __pydantic_config__ = STRICT

    view: str
    text: str
    layer: int
    head: int


@dataclass(frozen=True)
class EditAsked:
    """One change. `zero`, `scale` and `set` act on the unit at `address`; `add` puts its direction, `value` times, into what
    flows; `file` makes the edits that the file at `path` holds."""

    __pydantic_config__ = STRICT

    kind: Literal["zero", "scale", "set", "add", "file"]
    address: str | None = None
    value: float | None = None
    """The factor of `scale`, the value of `set`, the size of `add`; of `file` a factor of its strength."""
    where: str | None = None
    """The positions: all by default; `prompt`, `response`, `last`, or numbers such as 3,-1."""
    path: str | None = None


@dataclass(frozen=True)
class ChangeAsked:
    """What a change does to the continuation of a prompt, and to the metric of a behaviour on its held-out prompts."""

    __pydantic_config__ = STRICT

    view: str
    edits: list[EditAsked]
    prompt: str
    behaviour: str | None = None
    tokens: int = 20
    """So many tokens are written, from 0 to 200."""


@dataclass(frozen=True)
class SaveAsked:
    """Edits to be saved together under a name, as NAME.safetensors in the folder."""

    __pydantic_config__ = STRICT

    view: str
    edits: list[EditAsked]
    name: str


@dataclass(frozen=True)
class SupernodeAsked:
    """Nodes that a person puts under one name."""

    __pydantic_config__ = STRICT

    name: str
    members: list[str]


@dataclass(frozen=True)
class VerdictAsked:
    """What a person decides on a unit; `open` takes it back."""

    __pydantic_config__ = STRICT

    verdict: Literal["keep", "drop", "open"]
    reason: str = ""
    judge: str = ""


@dataclass(frozen=True)
class CircuitAsked:
    """What a person changes of a circuit's file: what is null stays as it is."""

    __pydantic_config__ = STRICT

    tag: str
    """Of the file as it was read; if it is another by now, nothing is written."""
    labels: dict[str, str] | None = None
    """Names by address without position; an empty one takes the person's name off."""
    supernodes: list[SupernodeAsked] | None = None
    """All of them: those that are not here are no more."""
    verdicts: dict[str, VerdictAsked] | None = None
    """By address without position; they go into NAME.verdicts.json beside the circuit."""


@dataclass(frozen=True)
class PairAsked:
    """A prompt, and one that shows the opposite; what may follow each, with its own leading space."""

    __pydantic_config__ = STRICT

    clean: str
    answers: list[str]
    patch: str | None = None
    patch_answers: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class BehaviourAsked:
    """Pairs of prompts that somebody typed, to be saved as a behaviour of the folder."""

    __pydantic_config__ = STRICT

    pairs: list[PairAsked]
    name: str | None = None
    """How its file is called, without its ending; by default after the first words."""


@dataclass(frozen=True)
class GroupsAsked:
    """How supernodes are looked for, as for `clew group`."""

    __pydantic_config__ = STRICT

    path: str
    similar: float = 0.5
    span: int = 7
    meaning: float = 0.25
    together: bool = False


@dataclass(frozen=True)
class RunAsked:
    """Long work. What `args` may hold depends on the verb; `GET /api/about` lists them under `verbs`."""

    __pydantic_config__ = STRICT

    verb: Verb
    args: dict[str, Any] = field(default_factory=dict)
    name: str | None = None
    """How the result's file is called, without its ending; by default after the behaviour or the circuit."""
