"""What the edits of units by labelled texts share: which dictionary, which class, and the units that go with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from clew.data.labels.labelled import Labelled
from clew.dictionaries import Dictionary
from clew.evidence import Given
from clew.models import Model
from clew.near import near
from clew.readings.firing import Firing, firing
from clew.sites import Site

Rank = Literal["mean", "share"]


@dataclass(frozen=True, eq=False)
class Chosen:
    """Units of one dictionary, and how they fire on the texts to avoid."""

    dictionary: Dictionary
    units: tuple[int, ...]
    size: tuple[float, ...]
    """Of each unit: its mean activation where it fires on the texts to avoid."""
    about: dict[str, Any]

    def row(self, unit: int) -> Float[Tensor, " d_out"]:
        """What the unit writes at an activation of 1: its decoder row."""
        return decoder_row(self.dictionary, unit)


def decoder_row(dictionary: Dictionary, unit: int) -> Float[Tensor, " d_out"]:
    """What a unit writes at an activation of 1; one of several coordinates, with each of them at 1."""
    there = next((b for b in dictionary.buffers() if b.is_floating_point()), torch.zeros(()))
    only = torch.arange(dictionary.n_units, device=there.device) == unit
    return dictionary.write(dictionary.unfold(only.to(there.dtype)))


def choose(
    model: Model,
    labelled: Labelled,
    *,
    avoid: str,
    at: Site | str | None,
    units: int | Sequence[int],
    rank: str,
    skip: int,
    labelling: str | None,
) -> Chosen:
    """The units that fire more on the texts of the class `avoid` than on the others, the strongest first.

    Raises: ValueError for a site without a dictionary, an unknown class, a class that is empty, units that the
    dictionary does not have, or that never fire on the texts to avoid.
    """
    dictionary = _dictionary(model, at)
    bad, good = _sides(labelled, avoid, labelling)
    there, elsewhere = (firing(model, texts, dictionary, skip=skip) for texts in (bad, good))
    more = _difference(there, elsewhere, rank)
    if isinstance(units, int):
        if not 1 <= units <= dictionary.n_units:
            raise ValueError(f"units={units}: choose 1 to {dictionary.n_units}, or name them, as in units=(7, 12)")
        units = more.topk(units).indices.tolist()
    chosen = tuple(int(unit) for unit in units)
    if out := [u for u in chosen if not 0 <= u < dictionary.n_units]:
        raise ValueError(f"there is no unit {out[0]} at {dictionary.writes}, which has {dictionary.n_units} units")
    size = tuple(float(there.size[unit]) for unit in chosen)
    if silent := [u for u, s in zip(chosen, size, strict=True) if s == 0]:
        raise ValueError(
            f"units {silent} at {dictionary.writes} never fire on the {len(bad)} texts of {avoid!r}; "
            "choose fewer units, other texts or another site"
        )
    about = {
        "dictionary": dictionary.fingerprint,
        "site": str(dictionary.writes),
        "units": list(chosen),
        "size": list(size),
        "difference": [float(more[unit]) for unit in chosen],
        "rank": rank,
        "share": [[float(f.share[unit]) for f in (there, elsewhere)] for unit in chosen],
        "avoid": avoid,
        "texts": [there.texts, elsewhere.texts],
    }
    return Chosen(dictionary, chosen, size, about)


def _difference(there: Firing, elsewhere: Firing, rank: str) -> Float[Tensor, " unit"]:
    if rank not in get_args(Rank):
        raise ValueError(f"units cannot be ranked by {rank!r}; {near(rank, get_args(Rank))}")
    return getattr(there, rank) - getattr(elsewhere, rank)


def _dictionary(model: Model, at: Site | str | None) -> Dictionary:
    """The dictionary at the site, or the only one."""
    known = model.dictionaries
    if at is None and len(known) != 1:
        raise ValueError(
            f"the model is seen through {len(known)} dictionaries; say which by at=, as in at='{[*known][-1]}'"
        )
    site = next(iter(known)) if at is None else model.body.site(at)
    if site not in known:
        raise ValueError(f"the model is not seen through a dictionary at {site}; {near(str(site), map(str, known))}")
    return known[site]


def _sides(labelled: Labelled, avoid: str, labelling: str | None) -> tuple[list[Given], list[Given]]:
    """The texts of the class, and those of the other classes."""
    if labelling is None and len(labelled.labels) > 1:
        raise ValueError(f"{labelled.name} has the labellings {', '.join(labelled.labels)}; say which by labelling=")
    name = next(iter(labelled.labels)) if labelling is None else labelling
    classes = labelled.classes(name)
    if avoid not in classes:
        raise ValueError(f"{name!r} of {labelled.name} has no class {avoid!r}; {near(avoid, classes)}")
    if len(classes) < 2:
        raise ValueError(f"all texts of {labelled.name} are {avoid!r}; give ordinary texts beside them")
    both = list(zip(labelled.texts, labelled[name], strict=True))
    return [t for t, c in both if c == avoid], [t for t, c in both if c not in (avoid, "")]
