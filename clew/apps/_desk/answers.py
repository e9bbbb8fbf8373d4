"""What the desk answers: frozen values of plain JSON, numbers finite or null. What is null is not known; `why` says so."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal[
    "circuit",
    "report",
    "edits",
    "labels",
    "index",
    "behaviour",
    "comparison",
    "atlas",
    "verdicts",
    "replication",
    "dictionary",
    "model",
    "text",
    "unknown",
]
Side = Literal["a", "b", "both"]
State = Literal["waiting", "running", "done", "failed", "cancelled", "stopped"]


@dataclass(frozen=True)
class Refusal:
    """Why there is no answer."""

    error: str
    """A sentence: what was given, what is allowed, what to do next."""


@dataclass(frozen=True)
class Named:
    """Something that is asked for by its name."""

    name: str
    about: str


@dataclass(frozen=True)
class ModelNamed:
    """A model that can be opened here."""

    name: str
    about: str
    pack: bool
    """Whether dictionaries come with it, to be seen through under the model's own name."""
    sites: list[str]
    """Where those dictionaries are."""


@dataclass(frozen=True)
class MeasureNamed:
    """A measure, and what it judges."""

    name: str
    about: str
    of: str
    """circuits, dictionaries, edits or models."""
    default: bool
    """Whether it is the one that is taken where none is named."""


@dataclass(frozen=True)
class MethodNamed:
    """A way to find a circuit."""

    name: str
    about: str
    of: str
    """nodes, edges, graphs, masks, transfer or weights: what it scores."""
    default: bool
    units: list[str]
    """features, neurons, heads or components: in which a model may be seen for it."""
    why: str | None
    """Why it cannot start from a model and a behaviour alone, if it cannot."""


@dataclass(frozen=True)
class Limits:
    """What is taken at most."""

    body: int
    """Bytes of a request."""
    text: int
    """Characters of a prompt or a text."""
    tokens: int
    """Tokens that are written."""
    waiting: int
    """Calls that may wait for one model."""
    views: int
    """Views that are open at once; the one that was used longest ago is closed for another."""
    runs: int
    """Runs that may wait for their turn."""
    minutes: float
    """Time of one run."""
    gigabytes: float
    """Memory of this process beyond which a run is stopped."""


@dataclass(frozen=True)
class About:
    """What there is to work with."""

    version: str
    folder: str
    models: list[ModelNamed]
    behaviours: list[Named]
    methods: list[MethodNamed]
    measures: list[MeasureNamed]
    explainers: list[Named]
    edits: list[Named]
    edit_formats: list[str]
    """What edits are exported as; all but safetensors need a view."""
    verbs: dict[str, list[Named]]
    """What a run of each verb takes in `args`."""
    limits: Limits


@dataclass(frozen=True)
class Item:
    """A file of the folder, or a folder of it that is one thing, such as an index."""

    path: str
    """Relative to the folder, with /."""
    kind: Kind
    title: str
    about: str
    bytes: int
    modified: float
    """Seconds since 1970."""
    problem: str | None
    """Why it cannot be opened, in a sentence."""
    model: str | None = None
    """What it was made in, where it says so."""
    behaviour: str | None = None
    through: str | None = None
    """The pack whose dictionaries it was found in, if it was one of a pack."""
    sites: list[str] = field(default_factory=list)
    """Of a circuit's view, of an index, or of dictionaries."""


@dataclass(frozen=True)
class Said:
    """A label, for people."""

    text: str
    brief: str
    """The first clause of a rule; of other labels the whole."""
    kind: str
    tested: str
    all: str
    """Every score, and where the label is from."""


@dataclass(frozen=True)
class Example:
    """A prompt that a circuit was found on, and its answers."""

    name: str
    text: str
    answers: list[str]


@dataclass(frozen=True)
class CircuitShown:
    """A circuit, of many nodes the strongest, with what people read beside it; the bundle of one-file pages."""

    title: str
    words: str
    prompts: list[Example]
    made: list[str]
    unit: str
    names: list[str]
    """Of the nodes in words, in their order."""
    ids: list[str]
    """Of the nodes, as an attribution graph calls them."""
    groups: dict[str, str]
    said: dict[str, list[Said]]
    """By address without position."""
    circuit: dict[str, Any]
    """As `clew find` saves it."""
    report: dict[str, Any] | None
    """Of the first report beside it that judges this circuit, a curve before others."""
    verdicts: dict[str, Any] | None
    path: str
    tag: str
    """Of the file; who writes gives it back."""


@dataclass(frozen=True)
class Sided:
    """Of a node or an edge: in which of two circuits it is, and what it scores in each."""

    side: Side
    a: float | None
    b: float | None


@dataclass(frozen=True)
class Sides:
    """Of two circuits that are shown as one, whose each part is."""

    names: list[str]
    """Their paths, `a` first."""
    nodes: list[Sided]
    edges: list[Sided]
    """In the order of the circuit's columns."""
    said: list[str]
    """What they share and what each has alone, in sentences."""


@dataclass(frozen=True)
class CircuitsCompared:
    """Two circuits as one bundle, of each part the larger number."""

    title: str
    words: str
    prompts: list[Example]
    made: list[str]
    unit: str
    names: list[str]
    ids: list[str]
    groups: dict[str, str]
    said: dict[str, list[Said]]
    circuit: dict[str, Any]
    report: dict[str, Any] | None
    verdicts: dict[str, Any] | None
    sides: Sides


@dataclass(frozen=True)
class Grouping:
    """Supernodes that were found, and are not saved."""

    supernodes: list[dict[str, Any]]
    alone: int
    """Nodes in no group."""


@dataclass(frozen=True)
class Saved:
    """A file that was written."""

    path: str
    tag: str


@dataclass(frozen=True)
class Cells:
    """A table as text."""

    head: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class ReportShown:
    """A report; where a file holds several, one after the other."""

    title: str
    rows: list[dict[str, Any]]
    notes: list[str]
    provenance: dict[str, Any]
    cells: Cells
    sizes: list[int]
    """Of circuits that stand side by side, for a curve; else none."""
    path: str


@dataclass(frozen=True)
class EditsShown:
    """What a file of edits holds."""

    name: str
    edits: list[str]
    about: dict[str, Any]
    provenance: dict[str, Any]
    path: str


@dataclass(frozen=True)
class LabelsShown:
    """What a file says of units."""

    units: dict[str, list[dict[str, Any]]]
    dictionaries: dict[str, str]
    path: str


@dataclass(frozen=True)
class ComparisonShown:
    """The cells of a comparison of methods, as its file holds them."""

    cells: list[dict[str, Any]]
    path: str


@dataclass(frozen=True)
class AtlasShown:
    """An atlas: behaviours that were found in a text, each with its circuit in short."""

    title: str
    words: str
    """How many there are of what, in a sentence."""
    made: list[list[str]]
    """How it was come by, as names and texts."""
    sources: list[str]
    """Names of the texts."""
    hidden: list[str]
    """Of those, the ones whose contexts are not shown."""
    nodes: int
    """So many of the strongest nodes of a circuit are told at most."""
    entries: list[dict[str, Any]]
    """The behaviours, the largest first."""
    units: dict[str, str]
    """What units are called, by address."""
    path: str


@dataclass(frozen=True)
class SiteShown:
    """A site of a view."""

    site: str
    units: int
    dictionary: str
    """Its kind; identity for neurons."""


@dataclass(frozen=True)
class ViewShown:
    """A model that is open, seen in some units."""

    id: str
    model: str
    units: str
    sites: list[SiteShown]
    layers: int
    heads: int
    said: list[str]
    """What was checked of the model, a sentence each."""
    through: list[str]
    waiting: int
    """Calls that wait for it now."""


@dataclass(frozen=True)
class Valued:
    """A token and a number; null where that is not known."""

    token: str
    value: float | None


@dataclass(frozen=True)
class Likely:
    """A token and its probability."""

    token: str
    p: float


@dataclass(frozen=True)
class LabelShown:
    """What is said of a unit and how that was tested."""

    text: str
    kind: str
    scores: list[dict[str, Any]]
    tested: str
    origin: str


@dataclass(frozen=True)
class Bin:
    """How many firings there are of a size."""

    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Passage:
    """A text in which a unit fires: what it does at each token, null where that is not known, and where the firing is."""

    tokens: list[Valued]
    at: int


@dataclass(frozen=True)
class BandShown:
    """Firings between two sizes."""

    low: float
    high: float
    count: float
    contexts: list[Passage]


@dataclass(frozen=True)
class Near:
    """A unit that is like another."""

    address: str
    by: str
    """decoder (they write alike) or cofiring (they fire together)."""
    alike: float
    label: str


@dataclass(frozen=True)
class Standing:
    """A circuit in which a unit stands, and what its file holds of the unit: from the prompts that it was found on."""

    path: str
    title: str
    score: float
    tokens: list[str] | None
    """On which it fires most; null where nothing was read."""
    examples: list[str]
    """Passages with the token on which it fires between « and »."""


@dataclass(frozen=True)
class UnitShown:
    """What is known of a unit. What is null is not known, and `why` says so by the field's name."""

    address: str
    words: str
    labels: list[LabelShown]
    raises: list[Valued] | None
    lowers: list[Valued] | None
    density: float | None
    histogram: list[Bin] | None
    bands: list[BandShown] | None
    nearest: list[Near] | None
    circuits: list[Standing]
    why: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Firings:
    """What a unit does at each token of a text."""

    tokens: list[str]
    values: list[float]
    fires: list[bool]
    words: str


@dataclass(frozen=True)
class UnitFires:
    """A unit that fires at a position."""

    address: str
    value: float
    label: str


@dataclass(frozen=True)
class FiresAt:
    """The units that fire most at a position, of all sites of the view together."""

    position: int
    units: list[UnitFires]


@dataclass(frozen=True)
class LensAt:
    """What the lens reads at a site, position after position."""

    site: str
    positions: list[list[Likely]]


@dataclass(frozen=True)
class PromptShown:
    """What a model makes of a prompt."""

    tokens: list[str]
    next: list[Likely]
    fires: list[FiresAt]
    lens: list[LensAt]
    lens_is: str
    """How the lens reads, in a sentence."""


@dataclass(frozen=True)
class AttentionShown:
    """The pattern of a head: a row for each token that looks, a column for each that it looks at."""

    tokens: list[str]
    pattern: list[list[float]]
    values_norm: list[float] | None
    """How large what the head takes from each token is, if it looks there alone."""


@dataclass(frozen=True)
class RunShown:
    """Long work: how far it is, and what came of it."""

    id: str
    verb: str
    title: str
    state: State
    done: int
    total: int
    said: str
    """What is being done, in words."""
    seconds: float
    left: float | None
    """Seconds that are left, about; null as long as nothing can be said of them."""
    result: str | None
    """The path of what it made."""
    error: str | None
    command: str
    """The command line that does the same."""
    resumes: bool
    """Whether it can be taken up again."""
    started: float
    """Seconds since 1970."""


@dataclass(frozen=True)
class Interval:
    """A number and its 95 % interval; null where there is none."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Wrote:
    """A line of a change: more text of one side."""

    side: Literal["before", "after"]
    text: str
    type: Literal["token"] = "token"


@dataclass(frozen=True)
class NextTokens:
    """A line of a change: what may follow the prompt."""

    before: list[Likely]
    after: list[Likely]
    type: Literal["next"] = "next"


@dataclass(frozen=True)
class Metric:
    """A line of a change: the metric of a behaviour on prompts that were held out."""

    name: str
    before: Interval
    after: Interval
    n: int
    split: str
    type: Literal["metric"] = "metric"


@dataclass(frozen=True)
class Receipt:
    """A line of a change: where an edit was at work."""

    text: str
    type: Literal["receipt"] = "receipt"


@dataclass(frozen=True)
class Done:
    """The last line of a change."""

    seconds: float
    type: Literal["done"] = "done"


@dataclass(frozen=True)
class Failed:
    """The last line of a change that could not be made."""

    error: str
    type: Literal["error"] = "error"


ChangeLine = Wrote | NextTokens | Metric | Receipt | Done | Failed
