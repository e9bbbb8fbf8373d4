"""What a circuit is: what its nodes are parts of, what its numbers are in, and the prompt or length it is bound to.

The method that makes a circuit says it once. Which judge takes a circuit, what is written to which format and which
prompts fit it are read from here and from nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from clew.files import check_whole, entries, entry, entry_or
from clew.near import near

Of = Literal["units", "components", "prompt_graph", "attention", "weights"]


@dataclass(frozen=True)
class Card:
    """What identifies the component graph of a model: sources, readers and edges follow from it."""

    n_layers: int
    n_heads: int
    n_kv_heads: int
    """As many as `n_heads` in the ungrouped view."""
    d_model: int | None
    """None where a file does not say."""
    parallel: bool
    """Attention and MLP of a block read the same stream."""
    blocks: tuple[str, ...] = ()
    """What writes into the stream in each block, in order, as in `mixer mlp`; nothing where it is heads and an MLP in all."""

    def __post_init__(self) -> None:
        counts = self.n_layers, self.n_heads, self.n_kv_heads
        least = 0 if self.blocks else 1
        if any(type(n) is not int or n < least for n in counts):
            raise ValueError(f"a component graph has layers, heads and key-value heads, from 1 on, not {counts}")
        if self.blocks and not (len(self.blocks) == self.n_layers and all(type(b) is str for b in self.blocks)):
            raise ValueError(
                f"blocks={self.blocks!r} of a component graph: give what writes in each of {self.n_layers}"
            )
        if self.n_kv_heads and self.n_heads % self.n_kv_heads:
            raise ValueError(f"{self.n_heads} query heads cannot share {self.n_kv_heads} key-value heads evenly")
        if self.d_model is not None and (type(self.d_model) is not int or self.d_model < 1):
            raise ValueError(f"d_model={self.d_model!r} of a component graph: give how wide the stream is, or None")
        if type(self.parallel) is not bool:
            raise ValueError(f"parallel={self.parallel!r} of a component graph: give True or False")

    def __str__(self) -> str:
        return f"a model of {self.n_layers} layers and {self.n_heads} heads"

    @property
    def shared_by(self) -> int:
        """How many query heads share a key-value head."""
        return self.n_heads // self.n_kv_heads


@dataclass(frozen=True)
class Logit:
    """A next token that a graph explains."""

    id: int
    token: str
    probability: float


@dataclass(frozen=True)
class Prompt:
    """The one prompt that a graph is of."""

    tokens: tuple[str, ...]
    """Its tokens as text, one per position."""
    token_ids: tuple[int, ...]
    """One per position; none where a file does not say."""
    logits: tuple[Logit, ...] = ()
    """The next tokens that are nodes of the graph, likeliest first; none where it explains the metric."""

    def __post_init__(self) -> None:
        if self.token_ids and len(self.tokens) != len(self.token_ids):
            raise ValueError(f"a prompt of {len(self.tokens)} tokens has {len(self.token_ids)} ids")

    @classmethod
    def from_json(cls, value: Any, origin: str = "its prompt") -> Prompt:
        """Read what `dataclasses.asdict` gave. Raises: ValueError for anything else."""
        check_whole(value, [f.name for f in fields(cls)], origin)
        tokens = entries(value, "tokens", str, origin=origin)
        ids = entries(value, "token_ids", int, origin=origin, at_least=0)
        listed = enumerate(entries(value, "logits", dict, origin=origin))
        return cls(tuple(tokens), tuple(ids), tuple(_logit(held, f"{origin}.logits[{i}]") for i, held in listed))


@dataclass(frozen=True)
class Kind:
    """What a circuit is; every circuit has one, and what is made of a circuit keeps it."""

    of: Of = "units"
    """`units` of dictionaries; `components`, wired as sources and readers of the component graph; the features,
    errors, tokens and logits of a `prompt_graph`; pairs of features in one `attention` score; shares of `weights`."""
    in_metric_units: bool = True
    """Scores are effects on the metric, so that an ablation can be held against them; a ranking or a share is none."""
    length: int | None = None
    """Tokens of the prompts that positions count in; None where nodes have no position, or it is not known."""
    components: Card | None = None
    """The component graph that its nodes are of, where they are of one."""
    prompt: Prompt | None = None
    """The prompt that it is a graph of, where it is of one."""

    def __post_init__(self) -> None:
        if self.of not in get_args(Of):
            raise ValueError(f"of={self.of!r} is no kind of circuit; {near(str(self.of), get_args(Of))}")
        if self.of == "components" and self.components is None:
            raise ValueError("a circuit of components needs the card of its graph: Components(model.body).card")
        if self.of == "prompt_graph" and self.prompt is None:
            raise ValueError("a graph of one prompt needs its words: Prompt(tokens, token_ids)")
        if self.length is not None and (type(self.length) is not int or self.length < 1):
            raise ValueError(f"length={self.length!r}: give how many tokens the prompts have, or None")
        if type(self.in_metric_units) is not bool:
            raise ValueError(f"in_metric_units={self.in_metric_units!r}: give True or False")

    @property
    def by_edges(self) -> bool:
        """Whether it is chosen and judged by its edges; every other kind is by its nodes."""
        return self.of == "components"

    def check_ablatable(self) -> None:
        """Raises: ValueError where no node is a part of a run that could be ablated, naming what judges it then."""
        if self.of == "weights":
            raise ValueError(
                "this is a circuit of weights: a score is the share of a matrix's weights that is kept, and no run has "
                "such a node to ablate. What is kept is judged by its masks (clew.methods.weights.bigram_subnetwork: "
                "load_masks, masked_weights) and by the r and loss in details['bigrams']; circuits of units, of "
                "components, of one prompt and of an attention score are judged by ablation"
            )

    @classmethod
    def from_json(cls, value: Any, origin: str = "its kind") -> Kind:
        """Read what `dataclasses.asdict` gave. Raises: ValueError for anything else."""
        check_whole(value, [f.name for f in fields(cls)], origin)
        card, prompt = (entry_or(value, name, dict, None, origin=origin) for name in ("components", "prompt"))
        return cls(
            entry(value, "of", str, origin=origin, among=get_args(Of)),
            entry(value, "in_metric_units", bool, origin=origin),
            entry_or(value, "length", int, None, origin=origin, at_least=1),
            None if card is None else _card(card, f"{origin}.components"),
            None if prompt is None else Prompt.from_json(prompt, f"{origin}.prompt"),
        )


def _card(held: dict[str, Any], origin: str) -> Card:
    named: dict[str, Any] = {"blocks": [], **held}  # which files from before there were such models do not say
    check_whole(named, [f.name for f in fields(Card)], origin)
    named["blocks"] = tuple(entries(named, "blocks", str, origin=origin))
    return Card(**named)


def _logit(held: Any, origin: str) -> Logit:
    check_whole(held, [f.name for f in fields(Logit)], origin)
    return Logit(
        entry(held, "id", int, origin=origin, at_least=0),
        entry(held, "token", str, origin=origin),
        float(entry(held, "probability", float, origin=origin, at_least=0, at_most=1.000001)),  # a sum of rounded ones
    )
