"""A plan: one dictionary to learn, at which site, by which objective."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clew.finder import load
from clew.near import near
from clew.sites import Site
from clew.training.objective import Objective


@dataclass(frozen=True)
class Plan:
    """One dictionary to learn: an objective (a file of clew/training/objectives, or a function of the same shape) at a site.

    `reads` and `writes` are a site or several; `options` are the objective's keywords:
    `Plan("topk", "resid.3", options={"units": 4608, "k": 32})`.
    """

    by: str | Callable[..., Objective]
    reads: Site | str | Sequence[Site | str]
    writes: Site | str | Sequence[Site | str] | None = None
    """By default what is read."""
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    seed: int = 0
    name: str = ""
    """The file's name; by default the site written, the objective and its numbers."""

    @property
    def objective(self) -> str:
        return self.by if isinstance(self.by, str) else self.by.__name__

    @property
    def inputs(self) -> tuple[Site, ...]:
        return _sites(self.reads)

    @property
    def outputs(self) -> tuple[Site, ...]:
        return self.inputs if self.writes is None else _sites(self.writes)

    @property
    def title(self) -> str:
        numbers = "-".join(f"{k}{v}" for k, v in sorted(self.options.items()))
        seed = f"-seed{self.seed}" if self.seed else ""
        return self.name or f"{_plus(self.outputs)}-{self.objective}-{numbers}{seed}"

    def made(self) -> Objective:
        """A new objective. Raises: ValueError when sites and objective do not go together."""
        make = load("training.objectives", self.by) if isinstance(self.by, str) else self.by
        known = inspect.signature(make).parameters
        for name in self.options:
            if name not in known:
                raise ValueError(f"{self.objective} has no option {name!r}; {near(name, list(known))}")
        for name, parameter in known.items():
            if parameter.default is parameter.empty and name not in self.options:
                raise ValueError(f"{self.objective} needs the option {name!r}; it takes {', '.join(known)}")
        objective = make(**self.options)
        if not objective.several and len(self.inputs) + len(self.outputs) > 2:
            raise ValueError(
                f"{self.objective} reads one site; {len(self.inputs)} were given: {list(map(str, self.inputs))}"
            )
        if objective.pairs == (self.inputs == self.outputs):
            wanted = "writes another site than it reads: give `writes`" if objective.pairs else "writes what it reads"
            raise ValueError(f"{self.objective} {wanted}; {_plus(self.inputs)} -> {_plus(self.outputs)} was given")
        return objective

    def plain(self) -> dict[str, Any]:
        """As JSON, for checkpoints and for the dictionary's `meta`."""
        return {
            "objective": self.objective,
            "reads": list(map(str, self.inputs)),
            "writes": list(map(str, self.outputs)),
            "options": dict(self.options),
            "seed": self.seed,
        }


def _sites(given: Site | str | Sequence[Site | str]) -> tuple[Site, ...]:
    return tuple(map(Site.parse, (given,) if isinstance(given, Site | str) else given))


def _plus(sites: Sequence[Site]) -> str:
    return "+".join(map(str, sites))


def seed_of(name: str, seed: int) -> int:
    """Separate streams of random numbers for separate purposes: no two may ever share one."""
    return int.from_bytes(hashlib.sha256(json.dumps([name, seed]).encode()).digest()[:6], "big")
