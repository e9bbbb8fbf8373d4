"""What a part becomes when it is taken away: one value for every measure that judges circuits by ablation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from clew.data.behaviours.behaviour import Behaviour
from clew.near import near
from clew.readings.contrast import Baseline
from clew.sites import Site
from clew.values import Value

Errors = Literal["nodes", "keep", "remove"]


@dataclass(frozen=True)
class Ablation(Value):
    """How what lies outside a circuit is taken away. A kind in words will do where the rest is as usual: "patch"."""

    kind: Baseline | None = None
    """What a node outside the circuit becomes: its "mean" over the patch prompts (clean ones where there are none), at
    each position where the behaviour is aligned, else over all words, with the first and special tokens apart; "zero"; its
    value on another example ("resample", drawn by the seed); or its value on the pair's own patch prompt ("patch", as in
    MIB). By default the mean of an aligned behaviour, of another the patch where there is one. For edges "patch" alone."""
    errors: Errors = "nodes"
    """Error nodes are in or out like other "nodes"; "keep" leaves all as they are, "remove" ablates all."""
    start: int = 0
    """Sites of layers below this one, and the embedding, are left alone."""
    constants: Mapping[Site, Tensor] | None = None
    """Ablate to these codes instead, by site, such as `optimal_ablation.constants` finds."""

    def __post_init__(self) -> None:
        if self.kind is not None and self.kind not in get_args(Baseline):
            raise ValueError(f"there is no ablation {self.kind!r}; {near(str(self.kind), get_args(Baseline))}")
        if self.errors not in get_args(Errors):
            raise ValueError(f"an ablation has no errors={self.errors!r}; {near(str(self.errors), get_args(Errors))}")
        if self.start < 0:
            raise ValueError(f"start={self.start}: layers are counted from 0; 0 ablates at all of them")
        if self.constants is not None and self.kind is not None:
            raise ValueError(f"ablation to constants and kind={self.kind!r} exclude each other; leave one of them out")

    def kind_for(self, behaviour: Behaviour) -> Baseline:
        """The kind, or the usual one for this behaviour: a mean only where a position means the same in all prompts."""
        return self.kind or ("mean" if behaviour.aligned or behaviour.baseline == "zero" else "patch")

    @classmethod
    def of(cls, given: Ablation | str) -> Ablation:
        """An ablation as it is, or the one of that kind."""
        return given if isinstance(given, Ablation) else cls(given)  # pyright: ignore[reportArgumentType]
