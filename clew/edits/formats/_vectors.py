"""What all vector files share: one vector per site, added at every position."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clew.changes import Add, Edit
from clew.files import check_whole, entry, jsonable, parse_json, typed
from clew.models import Model
from clew.sites import EVERY, Site
from clew.stack import Stack


def vectors_of(stack: Stack, kind: str, parts: Sequence[str]) -> dict[Site, Tensor]:
    """What the stack adds at each site, its scale multiplied in, in forward order; several at one site are summed.

    Raises: ValueError naming the edit that a file of this `kind` cannot hold, and why.
    """
    if not len(stack):
        raise ValueError(f"{kind} holds vectors, and the stack {stack.name!r} is empty")
    found: dict[Site, Tensor] = {}
    for edit in stack:
        if not isinstance(edit, Add) or (reason := _reason(edit, parts)):
            reason = reason if isinstance(edit, Add) else "it holds nothing but vectors that are added"
            raise ValueError(
                f"{edit} cannot be kept in {kind}: {reason}. stack.save('edit.safetensors') keeps every edit; a model "
                "with changed weights is written by clew.models.export.save_pretrained"
            )
        vector = edit.vector.detach().cpu()
        if edit.scale != 1:
            vector = edit.scale * vector.to(torch.promote_types(vector.dtype, torch.float32))
        found[edit.at] = found[edit.at] + vector if edit.at in found else vector
    return dict(sorted(found.items(), key=lambda item: item[0].order))


def _reason(edit: Edit, parts: Sequence[str]) -> str:
    assert isinstance(edit, Add)
    if edit.at.part not in parts:
        return f"it holds vectors of {', '.join(f'{p}.N' for p in parts)}"
    if edit.basis != "value" or edit.units is not None:
        return "it holds whole vectors of the stream, not some units of it"
    if edit.where != EVERY or edit.gate is not None:
        return "its vectors are added at every position, whatever stands there"
    if edit.keep_norm:
        return "it cannot say that the norm is kept; whoever applies it chooses that"
    return "" if edit.vector.ndim == 1 else f"its vectors are [d_model], and this one is {list(edit.vector.shape)}"


def kept_of(stack: Stack) -> str:
    """What such a file has no field for, as text in one of ours."""
    kept = {"name": stack.name, "about": dict(stack.about), "provenance": dict(stack.provenance)}
    return json.dumps(jsonable({**kept, "sites": sorted({str(edit.at) for edit in stack})}), allow_nan=False)


def stack_of(edits: tuple[Edit, ...], kept: Any, path: Path, about: Mapping[str, Any]) -> Stack:
    """A stack with what `kept_of` kept, or what is known `about` a file of others. Raises: ValueError for another text."""
    if kept is None:
        return Stack(edits, path.stem, about)
    place = f"{path}: what clew said in it"
    said = parse_json(typed(kept, place, str), place)
    check_whole(said, ("name", "about", "provenance", "sites"), place)
    if (held := sorted(str(edit.at) for edit in edits)) != said["sites"]:
        raise ValueError(f"{path} holds vectors of {', '.join(held)}, and was written with {said['sites']}")
    held, made = (entry(said, name, dict, origin=place) for name in ("about", "provenance"))
    return Stack(edits, entry(said, "name", str, origin=place) or path.stem, held or about, made)


def check_fit(model: Model, vectors: dict[Site, Tensor]) -> None:
    """Raises: ValueError for a site that the model does not have, or a vector that is not as wide as its site."""
    for site, vector in vectors.items():
        width = model.body.widths[model.body.site(site)]
        if vector.shape != (width,):
            raise ValueError(
                f"the vector for {site} has {len(vector)} numbers, and {site} of {model.name} is {width} wide; it was made "
                "for another model"
            )


def norms(vectors: dict[Site, Tensor]) -> str:
    """The norm convention, as far as numbers tell: unit vectors, or how long they are."""
    sizes = [float(v.double().norm()) for v in vectors.values()]
    if all(abs(size - 1) < 1e-3 for size in sizes):
        return "unit vectors: the scale is in units of the stream"
    return f"natural: lengths from {min(sizes):.3g} to {max(sizes):.3g}, and a scale of 1 adds them as they are"
