"""A run from some column on: what it resumes from, and the keys and values of what stands before."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch

from clew.models import Model
from clew.models.state import state
from clew.models.trace import Trace


class Tail:
    """The columns of a recorded run that are run again; all of them where earlier ones could change or cannot be kept."""

    def __init__(self, model: Model, base: Trace, start: int) -> None:
        """Args: base: recorded. start: the first column that is run again, if nothing else can change."""
        whole = model.activation_edits or "cache" in model.body.refused
        self.start = 0 if whole else start
        self._model, self._base, some = model, base, slice(self.start, None)
        blocks = {layer: x[:, some] for layer, x in base.blocks.items()}
        self.trace: Trace = replace(base, tokens=base.tokens[:, some], real=base.real[:, some], blocks=blocks)

    def past(self) -> Any:
        """Keys and values of what comes before, for a run that adds its own to them; None where nothing does."""
        return deepcopy(self._past) if self.start else None

    @cached_property
    def _past(self) -> Any:
        module = self._model.body.module
        with state(module), torch.no_grad():
            return module(input_ids=self._base.tokens[:, : self.start], use_cache=True).past_key_values
