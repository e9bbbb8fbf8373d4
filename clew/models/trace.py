"""What a run leaves: logits, what flowed at the sites that were read, gradients, receipts of edits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from clew.changes import ActivationEdit
from clew.dictionaries.dictionary import Dictionary
from clew.sites import Site
from clew.tables import as_html, frame

COUNTED = ("calls", "reached", "fired", "changed")
"""What a receipt counts."""


class EditDidNotFire(ValueError):
    """An edit was in force but met no position, or changed no bit of a weight: the result would be silently unedited."""


@dataclass(repr=False)
class Receipt:
    """How often one edit was at work in a run."""

    edit: ActivationEdit
    calls: int = 0
    """Forward calls in which its site was passed."""
    reached: int = 0
    """Positions that its `where` means."""
    fired: int = 0
    """Positions at which it was applied: those it reached, but for the ones where its gate was shut."""
    changed: int = 0
    """Positions at which the stream at its site came out different."""

    def __str__(self) -> str:
        name = type(self.edit).__name__.lower()
        gated = "" if self.edit.gate is None else f" of {self.reached}"
        return f"{name} at {self.edit.at}: {self.fired}{gated} positions in {self.calls} calls, {self.changed} changed"

    def __repr__(self) -> str:
        return f"<{self}>"


def receipts_frame(receipts: Sequence[Receipt]) -> Any:
    """A row for each receipt as a pandas DataFrame. Raises: ImportError without pandas."""
    rows = [{"edit": str(r.edit), **{name: getattr(r, name) for name in COUNTED}} for r in receipts]
    return frame(rows, ["edit", *COUNTED])


@dataclass
class Trace:
    """One run of a model on a batch of prompts."""

    tokens: Int[Tensor, "batch seq"]
    real: Bool[Tensor, "batch seq"]
    """False on padding."""
    logits: Float[Tensor, "batch keep vocab"] | None = None
    """Of the last positions, as many as `Model.run` was asked for, or of where the model answers: in the place of the mask,
    or [batch, 1, class]. None when the run stopped at its last read site, or the model has no head."""
    apart: bool = False
    """Whether `logits` are of all positions and the model answers elsewhere than at the last, as in the place of a mask."""
    states: Float[Tensor, "batch seq d_model"] | None = None
    """What a model without a head gives in their place: its last states, of all positions."""
    values: dict[Site, Tensor] = field(default_factory=dict[Site, Tensor])
    """What flowed on from each site that was read, after edits."""
    arrived: dict[Site, Tensor] = field(default_factory=dict[Site, Tensor])
    """In a run with leaves: what arrived at each site that became one, still tied to the leaves below it."""
    blocks: dict[int, Tensor] = field(default_factory=dict[int, Tensor])
    """In a recorded run: the output of each block, from which another run can resume."""
    receipts: tuple[Receipt, ...] = ()
    dictionaries: Mapping[Site, Dictionary] = field(default_factory=dict[Site, Dictionary])
    module: nn.Module | None = None
    """What ran."""
    versions: tuple[tuple[int, int], ...] = ()
    """Of its weights, in a run that was recorded or resumed."""

    @property
    def end(self) -> Tensor | None:
        """What came out at the end: logits, or the states of a model without a head; None when the run stopped before."""
        return self.states if self.logits is None else self.logits

    def __repr__(self) -> str:
        rows, length = self.tokens.shape
        sites = ", ".join(f"{site} {tuple(x.shape)}" for site, x in self.values.items()) or "no sites"
        logits = "" if self.logits is None else f"; logits {tuple(self.logits.shape)}"
        fired = "".join(f"; {receipt}" for receipt in self.receipts)
        return f"<run of {rows} prompt{'s' * (rows != 1)} of {length} tokens; read {sites}{logits}{fired}>"

    def _repr_html_(self) -> str:
        """What was read as a table for a notebook, and what edits did; no numbers."""
        held = {**{str(site): x for site, x in self.values.items()}, "logits": self.logits}
        shown = [(name, x) for name, x in held.items() if x is not None]
        rows = [[name, str(list(x.shape)), str(x.dtype).removeprefix("torch.")] for name, x in shown]
        prompts, length = self.tokens.shape
        title = f"run of {prompts} prompt{'s' * (prompts != 1)} of {length} tokens"
        return as_html(title, ["read", "shape", "dtype"] if rows else [], rows, map(str, self.receipts))

    def to_frame(self) -> Any:
        """The receipts as a pandas DataFrame, a row for each edit that was in force. Raises: ImportError without pandas."""
        return receipts_frame(self.receipts)

    def __getitem__(self, site: Site | str) -> Tensor:
        """What flowed at a site. Raises: KeyError listing the sites that were read."""
        site = Site.parse(site)
        if site not in self.values:
            raise KeyError(
                f"{site} was not read in this run; read were {', '.join(map(str, self.values)) or 'no sites'}. "
                "run(read=[...]) says what is, and clew.data.behaviours.metrics.reading(...) what a metric needs"
            )
        return self.values[site]

    def code(self, site: Site | str) -> Float[Tensor, "batch seq code"]:
        """The code of the dictionary that writes this site."""
        dictionary = self.dictionaries[Site.parse(site)]
        return dictionary.encode(as_read(self[dictionary.reads], dictionary))

    def error(self, site: Site | str) -> Float[Tensor, "batch seq d_out"]:
        """What the units at this site leave unexplained: value - decode(code)."""
        dictionary = self.dictionaries[Site.parse(site)]
        return as_read(self[dictionary.writes], dictionary) - dictionary.decode(self.code(site))

    def gradients(self, loss: Float[Tensor, ""]) -> dict[Site, Tensor]:
        """d loss / d value at every site that was read with `grad=True`; zeros where nothing depends on it."""
        sites = list(self.values)
        found = torch.autograd.grad(loss, [self.values[s] for s in sites], allow_unused=True)
        grads = cast("tuple[Tensor | None, ...]", found)
        return {s: torch.zeros_like(self.values[s]) if g is None else g for s, g in zip(sites, grads, strict=True)}


def as_read(x: Tensor, dictionary: Dictionary) -> Tensor:
    """x in the precision of a dictionary: a half-precision model is read by a float32 dictionary."""
    tensor = next(dictionary.buffers(), None)
    return x if tensor is None or not tensor.is_floating_point() else x.to(tensor.dtype)
