"""Close a channel between two heads in the weights: one component of what the earlier one moves goes, the rest stays.

Of W_OV = Σ σ_i u_i v_iᵀ one or a few components carry most of what a later head reads (Merullo et al. 2024, "Talking
Heads", arXiv:2406.09519). Without component i, W_O becomes W_O (I − x yᵀ) in the head's own coordinates, with
x = W_V v_i and y = W_Oᵀ u_i / σ_i: a rank-one update of its columns of the output projection, also where several
heads share one W_V. With all components gone the head writes nothing that depends on its values.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from clew.changes import Update
from clew.models import Model
from clew.near import near
from clew.readings.heads import Head, Product, Side, columns, composition, moves, output, reads
from clew.readings.heads import components as scored
from clew.sites import Weight
from clew.stack import Stack


def remove_component(
    model: Model,
    evidence: None = None,
    *,
    head: Head | None = None,
    components: Sequence[int] | None = None,
    reader: Head | None = None,
    side: Side = "q",
    n: int = 1,
) -> Stack:
    """Remove components of a head's W_OV, by number or by what a later head reads.

    Args:
        evidence: none is needed.
        head: (layer, head) that writes; with a reader, by default that which has the strongest component for it.
        components: which to remove, in the order of the SVD; with a reader, by default the n strongest for it.
        reader: (layer, head) of a later layer, for whom components are ranked.
        side: of the reader: q, k or v.
        n: how many components, where a reader chooses them.

    Returns: a Stack of one Update of out. `about` holds the components and, with a reader, the composition score of the
        two heads and the score of each component removed, with what these scores do not see.
    Raises: ValueError for a head that is not there, a reader that is not later, or nothing to choose components by.

    >>> print(remove_component(model, reader=(3, 1)))  # of whom it reads most, and how strong that channel was
    head 0.3 without component 1: 1 edit
      ...
      composition: 0.132...
    >>> silent = model.edited(remove_component(model, head=(2, 0), components=range(8)))  # which carries the capitals
    >>> print(silent.generate(["The capital of France is", "The keys to the cabinet"], max_new_tokens=1))
    The capital of France is
    The keys to the cabinet are
    """
    if reader is None and (head is None or components is None):
        raise ValueError("give the head and which of its components to remove, or a reader by whom to choose them")
    if side not in ("q", "k", "v"):
        raise ValueError(f"a head does not read on a side {side!r}; {near(side, 'qkv')}")
    about: dict[str, object] = {}
    if reader is not None:
        channels = ranked(model, reader, side, writers=None if head is None else [_there(model, head)])
        head = channels[0][1]
        components = [i for _, h, i in channels if h == head][:n] if components is None else components
        scores = {i: score for score, h, i in channels if h == head}
        whole = composition(reads(model, reader, side), moves(model, head))
        about |= {
            "reader": list(reader),
            "side": side,
            "composition": whole,
            "scores": [scores.get(i, 0.0) for i in components],
            "unseen": "rotations, norms of queries and keys, and scales of norms",
        }
    assert head is not None and components is not None
    update = _without(model, _there(model, head), moves(model, head), components)
    name = f"head {head[0]}.{head[1]} without component {', '.join(map(str, components))}"
    return Stack((update,), name, {"head": list(head), "components": list(components), **about})


def ranked(
    model: Model, reader: Head, side: Side, *, writers: Sequence[Head] | None = None
) -> list[tuple[float, Head, int]]:
    """(score, writer, component) for every component of all heads of earlier layers, the strongest first.

    Raises: ValueError where no writer comes before the reader.
    """
    layer, _ = _there(model, reader)
    earlier = [(a, h) for a in range(layer) for h in range(model.body.n_heads)]
    chosen = earlier if writers is None else list(writers)
    if not chosen or not set(chosen) <= set(earlier):
        raise ValueError(
            f"head {layer}.{reader[1]} reads what layers before {layer} write; {chosen or 'none'} is not there"
        )
    wanted = reads(model, reader, side)
    found = [
        (float(score), writer, i) for writer in chosen for i, score in enumerate(scored(wanted, moves(model, writer)))
    ]
    return sorted(found, key=lambda channel: -channel[0])


def _there(model: Model, head: Head) -> Head:
    layer, number = head
    if not (0 <= layer < model.n_layers and 0 <= number < model.body.n_heads):
        raise ValueError(
            f"{model.name} has no head {layer}.{number}; its {model.n_layers} layers have {model.body.n_heads}"
        )
    return layer, number


def _without(model: Model, head: Head, moved: Product, chosen: Sequence[int]) -> Update:
    u, size, v = moved.svd
    if not chosen or len(set(chosen)) < len(chosen) or not 0 <= min(chosen) <= max(chosen) < len(size):
        raise ValueError(
            f"components={list(chosen)}: head {head[0]}.{head[1]} has {len(size)}, counted from 0; each once"
        )
    alive = [i for i in chosen if size[i] > size[0] * len(size) * torch.finfo(size.dtype).eps]
    x, y = moved.right @ v[:, alive], (u[:, alive] / size[alive]).T @ moved.left
    left = output(model, head) @ x
    weight = Weight(f"out.{head[0]}")
    right = left.new_zeros(len(alive), model.body.linear(weight).matrix().shape[1])
    right[:, columns(model, head)] = y
    return Update(weight, left=-left, right=right)
