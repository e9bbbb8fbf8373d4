"""Take a feature out of the weights: nothing up to a layer writes along its direction any more.

Every output projection W becomes (I − ŵ ŵᵀ) W, where ŵ is the unit's decoder row. Biases stay, so the stream's component
along ŵ is then one constant, whatever the text: what a `Project` at every block would give, but in the weights. Source:
weight orthogonalisation (Arditi et al. 2024, arXiv:2406.11717, section 4.1). Differs: only up to a layer; the
embedding, which is often also the unembedding, keeps its weights, and the direction is taken out where it enters.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from clew.changes import Edit, Project, Update
from clew.models import Model
from clew.readings.norms import gain_of
from clew.sites import Site, Weight
from clew.stack import Stack

STREAM = ("embed", "attn", "mlp", "resid")


def remove_feature(
    model: Model,
    evidence: None = None,
    *,
    at: Site | str,
    unit: int | None = None,
    direction: Float[Tensor, " d_model"] | None = None,
    up_to: int | None = None,
    embed: bool = True,
) -> Stack:
    """Remove one unit of a dictionary, or one direction, from all that is written to the stream.

    Where a norm follows the projection (Gemma 2 and 3), what is taken out of W is the direction that the norm's gain
    turns into ŵ.

    Args:
        evidence: none is needed.
        at: where the dictionary sits or the direction lives: embed, or attn, mlp or resid of a layer.
        unit: of the dictionary through which the model is seen there; `direction` instead where there is none.
        up_to: the last layer whose maps are changed; that of `at` by default. Later ones may write it again.
        embed: take it out of the embedding too, by a Project at the site; without, its component flows on.

    Returns: a Stack: a Project at embed and an Update of out and of down of each layer, where these write along it.
    Raises: ValueError for a site outside the stream, neither or both of unit and direction, a layer out of range, or a
    direction that nothing writes.

    >>> edited = model.edited(remove_feature(model.through(sae), at="resid.2", unit=75))
    >>> [bool(m.run("She sold the boat", read=["resid.2"])["resid.2"][..., 75].any()) for m in (model, edited)]
    [True, False]
    """
    site = model.body.site(at)
    if site.part not in STREAM:
        raise ValueError(f"what {site} holds is not in the coordinates of the stream; give {', '.join(STREAM)}")
    if site.stack:
        raise ValueError(
            f"{site} is in the stream of the {site.stack}, and maps of the decoder's stream alone are changed"
        )
    if (unit is None) == (direction is None):
        raise ValueError("give either a unit of the dictionary at this site, or a direction")
    last = (-1 if site.layer is None else site.layer) if up_to is None else up_to
    if not (-1 if embed else 0) <= last < model.n_layers:
        raise ValueError(f"up_to={last}: {model.name} has the layers 0 to {model.n_layers - 1}")
    rows = _rows(model, site, unit) if direction is None else direction.detach().double().cpu()[None]
    if rows.shape[1] != model.body.widths[site] or not bool(rows.isfinite().all()) or not rows.any():
        raise ValueError(f"a direction at {site} has {model.body.widths[site]} finite numbers that are not all 0")
    edits: list[Edit] = [Project(Site("embed"), directions=_basis(rows).to(model.body.dtype))] if embed else []
    maps = [Weight(f"{part}.{layer}") for layer in range(last + 1) for part in ("out", "down")]
    edits += [update for map in maps if (update := _without(model, map, rows)) is not None]
    if not edits:
        raise ValueError(f"no map of the layers 0 to {last} writes along this direction, so there is nothing to remove")
    name = f"without {site}/{unit}" if direction is None else f"without a direction at {site}"
    return Stack(tuple(edits), name, {"layers": last + 1, "embedding": embed})


def _rows(model: Model, site: Site, unit: int | None) -> Float[Tensor, "direction d_model"]:
    """The decoder rows of a unit; a head has several."""
    dictionary = model.dictionaries.get(site)
    if dictionary is None:
        raise ValueError(
            f"the model is seen through no dictionary at {site}; use model.through(...) first, or a direction"
        )
    if unit is None or not 0 <= unit < dictionary.n_units:
        raise ValueError(f"there is no unit {unit} at {site}, which has {dictionary.n_units}")
    like = next((b for b in dictionary.buffers() if b.is_floating_point()), torch.zeros(1))
    chosen = torch.zeros(dictionary.n_units, device=like.device, dtype=like.dtype)
    chosen[unit] = 1
    code = dictionary.unfold(chosen)
    coordinates = torch.zeros(int(code.sum()), len(code), device=like.device, dtype=like.dtype)
    coordinates[torch.arange(len(coordinates)), code.nonzero()[:, 0]] = 1
    return dictionary.write(coordinates).detach().double().cpu()


def _basis(rows: Float[Tensor, "direction d_model"]) -> Float[Tensor, "rank d_model"]:
    _, size, basis = torch.linalg.svd(rows, full_matrices=False)
    return basis[size > size.max() * max(rows.shape) * torch.finfo(rows.dtype).eps]


def _without(model: Model, weight: Weight, rows: Float[Tensor, "direction d_model"]) -> Update | None:
    """W − B Bᵀ W, where B spans what becomes the directions on the way to the stream; None where W writes nothing of them."""
    map, norm = model.body.linear(weight), model.body.after(str(weight.part), weight.layer or 0).norm
    if norm is not None:
        gain, centres = gain_of(model, norm)
        if centres or map.bias is not None:
            raise ValueError(
                f"between {weight} and the stream stand a bias and a norm, so no projection keeps a direction out"
            )
        rows = rows * gain
    basis = _basis(rows)
    written = basis @ map.matrix().double().cpu()
    return Update(weight, left=-basis.T, right=written) if written.any() else None
