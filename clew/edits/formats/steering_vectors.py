"""The vectors of the steering-vectors package, as a torch file of tensors.

The package has a class and no file of its own; what people share is `torch.save` of its two fields, `layer_activations`,
which maps a layer to a vector, and `layer_type`. Layer N of "decoder_block" is added to what block N returns, counted
from 0, so it is `resid.N`. Layer N of "mlp" is added to what the MLP module returns, before a norm that may follow
(Gemma 2 and 3), so it is `mlp_out.N`; layer N of "self_attn" is `attn.N` where no such norm follows and no site of ours
where one does. Vectors added to the output of a norm are refused, for our sites are what attention and MLP read, which in
some models is one tensor.

Norm: the package takes the mean of differences as it is, so a multiplier of 1 moves the stream by the natural distance
between the two sides (its PCA aggregator gives unit vectors; the file does not say which). The multiplier and the first
position are arguments of its `apply` and not in the file. What is written is the edit's scale times its vector.

Checked against steering-vectors 0.12.2: its hooks with the written vectors give the same logits, bit for bit.

A file of whole Python objects, `torch.save(vector)`, would run code when read and is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clew.archives import mentions, read_torch
from clew.changes import Add
from clew.edits.formats._vectors import check_fit, kept_of, norms, stack_of, vectors_of
from clew.files import check_names, entry, write_whole
from clew.models import Model
from clew.near import near
from clew.sites import Site
from clew.stack import Stack
from clew.tensors import check_floats

PARTS = {"decoder_block": "resid", "self_attn": "attn", "mlp": "mlp_out"}
"""What a layer type is called here."""

KIND = "a file of the steering-vectors package"
FIELDS = ("layer_activations", "layer_type", "clew")


def matches(path: Path) -> bool:
    """A torch or pickle file that mentions the field; nothing is unpickled."""
    return path.is_file() and mentions(path, b"layer_activations")


def read(path: Path, model: Model | None = None) -> Stack:
    """An Add for each layer, with scale 1.

    Args: model: checks that the vectors fit; needed for "self_attn" and for layers counted from the end.
    Raises: ValueError for a file of Python objects, a layer type that is no site, or vectors that do not fit the model.
    """
    held = _load(path)
    layers, kind = held["layer_activations"], held["layer_type"]
    if kind not in PARTS:
        raise ValueError(f"{path} steers {kind!r}, which is no site of clew; {near(str(kind), PARTS)}")
    if not layers or not all(isinstance(v, Tensor) and type(n) is int for n, v in layers.items()):
        raise ValueError(f"{path} has no layers: 'layer_activations' must map layer numbers to tensors")
    if model is None and (kind == "self_attn" or min(layers) < 0):
        why = "of the attention are added before a norm in some models" if min(layers) >= 0 else "count from the end"
        raise ValueError(f"the layers of {path} {why}; give the model, too: read(path, model)")
    if model is not None and kind == "self_attn":
        _straight(model, "attn")
    found = {
        Site(PARTS[kind], n if n >= 0 else _layers(model) + n): _vector(path, n, v) for n, v in sorted(layers.items())
    }
    if len(found) < len(layers):
        raise ValueError(f"{path} holds two vectors of one layer, counted from the front and from the end")
    if model is not None:
        check_fit(model, found)
    edits = tuple(Add(site, vector=vector) for site, vector in found.items())
    return stack_of(edits, held.get("clew"), path, {"norm": norms(found)})


def _vector(path: Path, layer: int, held: Tensor) -> Tensor:
    """One vector, whatever axes of one stand before it."""
    check_floats({f"layer {layer}": held}, str(path))
    if held.numel() != held.shape[-1:].numel():
        raise ValueError(f"layer {layer} of {path} has the shape {list(held.shape)}; a vector is due there")
    return held.reshape(-1)


def write(stack: Stack, path: Path, model: Model) -> None:
    """One vector for each layer of one kind of site; reads back bit for bit, in the vectors' own dtype.

    ```python
    held = torch.load("vector.pt", weights_only=True)  # where steering-vectors is installed
    vector = SteeringVector(held["layer_activations"], held["layer_type"])
    ```

    Raises: ValueError naming the edit that such a file cannot hold.
    """
    found = vectors_of(stack, KIND, [*PARTS.values(), "mlp"])
    check_fit(model, found)
    parts = {site.part for site in found}
    for part in parts & {"attn", "mlp"}:
        _straight(model, part)
    kinds = {"mlp" if part == "mlp" else next(k for k, p in PARTS.items() if p == part) for part in parts}
    if len(kinds) > 1 or len({site.layer for site in found}) < len(found):
        raise ValueError(
            f"{KIND} holds one kind of site; this stack has {', '.join(sorted(parts))}. Write one file each"
        )
    held = {"layer_activations": {site.layer: v.clone() for site, v in found.items()}, "layer_type": kinds.pop()}
    write_whole(path, lambda file: torch.save({**held, "clew": kept_of(stack)}, file))


def _load(path: Path) -> dict[str, Any]:
    try:
        held = read_torch(path)
    except ValueError as error:
        save = 'torch.save({"layer_activations": v.layer_activations, "layer_type": v.layer_type}, path)'
        raise ValueError(f"{error}. Of a vector v these are its fields: {save}") from error
    if not isinstance(held, dict) or not isinstance(held.get("layer_activations"), dict):
        raise ValueError(f"{path} is not {KIND}: it has no dict 'layer_activations'")
    check_names(held, FIELDS, str(path))
    entry(held, "layer_type", str, origin=str(path))
    return held


def _layers(model: Model | None) -> int:
    assert model is not None
    return model.n_layers


def _straight(model: Model, part: str) -> None:
    map = "out" if part == "attn" else "down"
    if not all(model.body.after(map, site.layer or 0).nothing for site in model.sites(part)):
        raise ValueError(
            f"{model.name} has a norm or a factor after its {part}, and {KIND} adds to what comes before it, which {part}.N "
            "is not"
        )
