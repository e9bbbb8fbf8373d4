"""Export: an edited model as a transformers folder that loads without clew."""

from __future__ import annotations

import copy
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clew.changes import ActivationEdit, Add
from clew.files import write_json
from clew.models.model import Model
from clew.models.weights import Linear, linear_of, updated
from clew.scale.unfinished import unfinished
from clew.sites import EVERY, Weight

WRITERS = {
    "q": "q",
    "k": "k",
    "v": "v",
    "attn": "out",
    "head": "out",
    "neuron": "down",
    "mlp_out": "down",
    "mlp": "down",
    "resid": "down",
    "final": "unembed",
}
"""The linear map whose bias can hold what is added at a site: the one that writes the site, or the one that reads it."""


def save_pretrained(model: Model, folder: str | Path) -> tuple[str, ...]:
    """Write config, safetensors and tokenizer, for `AutoModelForCausalLM.from_pretrained(folder)`.

    Updates of weights are in the tensors bit for bit, so the logits are those of `model`. Where unembedding and embedding
    were one tensor and only the unembedding was edited, they become two. What an `Add` adds at every position of a site
    moves into the bias of the linear map there, if it has one: the same sum in another order, equal to rounding. The
    folder also holds `clew_edits.json`, which says what was made of which weights.

    Args: folder: a name that is not taken yet; it appears whole or not at all.
    Returns: sentences that say what was done beside copying the weights.
    Raises: ValueError naming an edit that cannot live in weights, and what to do with it; OSError.

    ```python
    edited = model.edited(clew.edit(model, facts, by="rome", text=text))
    save_pretrained(edited, "smollm2-rome")
    ```
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} is there already; name a folder that is not, or remove it")
    module = updated(model.body, ())
    notes = [_bake(model, module, edit) for edit in model.activation_edits]
    notes += _untied(model, module)
    folder.parent.mkdir(parents=True, exist_ok=True)
    place = unfinished(folder)
    try:
        place.mkdir()
        module.save_pretrained(place)
        if model.body._tokenizer is not None:
            model.body._tokenizer.save_pretrained(place)
        record = {"model": model.name, "weights": model.unedited.body.fingerprint, "notes": notes}
        write_json(place / "clew_edits.json", {**record, "edits": [str(edit) for edit in model.edits]})
        for made in place.rglob("*"):  # safetensors writes for its owner alone
            made.chmod((0o777 if made.is_dir() else 0o666) & ~_umask())
        place.replace(folder)
    except OSError as error:
        raise OSError(error.errno, f"{folder} was not written ({error.strerror})") from error
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return tuple(notes)


def _bake(model: Model, module: Any, edit: ActivationEdit) -> str:
    """Put an edit into a bias of `module`, the twin to be written; says where it is now."""
    linear = _writer(model, module, edit)
    assert isinstance(edit, Add)
    bias = linear.owner.bias
    assert isinstance(bias, Tensor)
    constant = _constant(model, edit).to(bias.device)
    reads = edit.at == linear.reads
    added = linear.matrix().double() @ constant if reads else constant
    whole = bias.detach().to(torch.float64, copy=True)
    rows = slice(None) if linear.rows is None else linear.rows.to(bias.device)
    whole[rows] += added
    linear.owner.register_parameter("bias", nn.Parameter(whole.to(bias.dtype), requires_grad=False))
    return f"the add at {edit.at} is now in the bias of {linear.weight}"


def _constant(model: Model, edit: Add) -> Float[Tensor, " d"]:
    """What is added at every position, in float64."""
    added = (edit.scale * edit.vector).double()
    if edit.units is None:
        return added.expand(model.body.widths[edit.at])
    whole = torch.zeros(model.body.widths[edit.at], dtype=torch.float64, device=added.device)
    whole[list(edit.units)] = added
    return whole


def _writer(model: Model, module: Any, edit: ActivationEdit) -> Linear:
    """The map whose bias can hold the edit. Raises: ValueError when there is none, or the edit is no constant."""
    if not isinstance(edit, Add):
        why = "it is no constant that is added"
    elif edit.where != EVERY or edit.gate is not None:
        why = "it is in force only at some positions"
    elif edit.basis != "value" or edit.keep_norm or edit.vector.ndim != 1:
        why = "what it adds depends on what is there"
    elif edit.at.part not in WRITERS:
        why = "no linear map writes that site"
    else:
        part = WRITERS[edit.at.part]
        linear = linear_of(model.body, Weight(part if edit.at.layer is None else f"{part}.{edit.at.layer}"), module)
        if _norm_between(model, edit):
            why = f"a norm or a factor comes between {linear.weight} and {edit.at}"
        elif getattr(linear.owner, "bias", None) is None:
            why = f"{linear.weight} of this model has no bias to hold it"
        else:
            return linear
    raise ValueError(
        f"{edit} cannot live in weights: {why}. Export without it: its stack keeps it (stack.save), and vectors added at "
        "every position of resid.N can go into a GGUF control vector (clew export --gguf)"
    )


def _norm_between(model: Model, edit: ActivationEdit) -> bool:
    """Whether something stands between the map's output and the site."""
    if edit.at.part not in ("attn", "mlp", "resid"):
        return False
    return not model.body.after("out" if edit.at.part == "attn" else "down", edit.at.layer or 0).nothing


def _untied(model: Model, module: Any) -> list[str]:
    """Say in the config of the twin that the unembedding has weights of its own, where an update gave it some."""
    unembed, embedding = module.get_submodule(model.body.layout.unembed), module.get_input_embeddings()
    if not getattr(module.config, "tie_word_embeddings", False) or unembed.weight is embedding.weight:
        return []
    module.config = copy.deepcopy(module.config)
    module.config.tie_word_embeddings = False
    return ["the unembedding was one tensor with the embedding; edited, it is a tensor of its own now"]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
