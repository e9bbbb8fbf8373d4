"""An architecture: one record that says where the sites of a family live in its modules.

Only names and layouts, no code path: the transformers module runs unmodified. What a record claims,
`selfcheck` proves by numbers on the model at hand.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from clew import finder
from clew.models.fields import ignored_fields, undeclared_fields, unknown_fields
from clew.near import near

log = logging.getLogger("clew")

ROOM = "models.architectures"

Columns = Mapping[str, Tensor]
"""For a fused projection: which of its output columns are `q`, `k` and `v`, heads side by side."""


@dataclass(frozen=True)
class Architecture:
    """Where things are in one family. Paths are dotted; those under a block are relative to it."""

    classes: tuple[str, ...]
    """Names of the transformers classes that this record describes."""
    tiny: Callable[[], PreTrainedModel]
    """A small random model of the family, for the tests."""
    blocks: str = "model.layers"
    norm: str = "model.norm"
    unembed: str = "lm_head"
    attn_norm: str | Callable[[Any], str] = "input_layernorm"
    """The norm between the stream and the attention; from the config where it depends on it."""
    attn: str = "self_attn"
    """The attention module of a block."""
    attn_write: str = ""
    """The module whose output the attention adds to the stream; `attn` itself unless given."""
    output: str = "self_attn.o_proj"
    """The output projection; it reads the heads side by side."""
    qkv: str | tuple[str, str, str] = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
    """Three projections, or one fused projection laid out as `columns` says."""
    columns: Callable[[Any], Columns] | None = None
    pattern: str = "interface"
    """Where attention probabilities are seen: `interface` of transformers, the path of a module that
    receives them, or empty where neither exists."""
    mlp_norm: str | Callable[[Any], str] = "post_attention_layernorm"
    """The norm between the stream and the MLP."""
    mlp: str = "mlp"
    """The module whose input is what the MLP reads."""
    mlp_write: str = ""
    """The module whose output the MLP adds to the stream; `mlp` itself unless given."""
    down: str = "mlp.down_proj"
    """The MLP's output projection; it reads the neurons."""
    heads: Callable[[Any], tuple[int, int]] = lambda c: (
        c.num_attention_heads,
        getattr(c, "num_key_value_heads", None) or c.num_attention_heads,
    )
    """Query heads and key-value heads, from the config."""
    parallel: Callable[[Any], bool] = lambda c: False
    """Whether attention and MLP of a block both read the block's input."""
    understands: frozenset[str] = field(default_factory=frozenset)
    """Config fields that may differ from their default: the record, or the module, handles them."""
    always: Mapping[str, Any] = field(default_factory=dict)
    """Config fields that transformers does not read, for it always does so: what they may say."""
    refuses: Mapping[str, str] = field(default_factory=dict)
    """Config fields that mark a model which transformers runs wrongly, and why."""


def architecture_of(module: PreTrainedModel) -> Architecture:
    """The record of a model: the file of `architectures/` that bears its config's `model_type`, or an entry point.

    Raises: ValueError for a family without a record, or a config field that changes the computation
    in a way the record does not know, naming the family or the fields.
    """
    name, family = type(module).__name__, module.config.model_type
    if family.replace("-", "_") not in (families := finder.names(ROOM)):
        raise ValueError(
            f"{name} is of the family {family!r}, which has no architecture record; {near(family, families)} "
            "To add one, write one file in clew/models/architectures or an entry point of 'clew.models.architectures' "
            "(docs/extend.md shows how)"
        )
    record = record_of(family)
    if name not in record.classes:
        raise ValueError(f"{name} is no language model that clew can run; of {family!r} it runs {record.classes}")
    _check_fields(module, record)
    return record


def _check_fields(module: PreTrainedModel, record: Architecture) -> None:
    name, config = type(module).__name__, module.config
    for key, why in record.refuses.items():
        if getattr(config, key, None) is not None:
            raise ValueError(f"the config of this {name} sets {key}={getattr(config, key)!r}: {why}")
    if strange := unknown_fields(config, record.understands):
        raise ValueError(
            f"the config of this {name} sets {_listed(strange)}, which changes the computation in a way that clew does "
            "not know; after checking what it does to the sites, add the field to `understands` of the record"
        )
    ignored = ignored_fields(config, record.understands, record.always)
    if ignored:
        raise ValueError(
            f"the config of this {name} sets {_listed(ignored)}, which transformers does not read in this family, so what "
            "it computes may not be what the model's makers meant; if it changes nothing, take it out of the config"
        )
    if others := undeclared_fields(config, record.understands):
        log.info("the config of this %s also sets %s, which nobody reads", name, _listed(others))


def _listed(fields: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value!r:.80}" for key, value in fields.items())


def record_of(family: str) -> Architecture:
    """The record of a family by its name. Raises: ValueError for a name without one, or a stranger's that is none."""
    found = finder.file(ROOM, family)
    record = getattr(found, "ARCHITECTURE", found)
    if not isinstance(record, Architecture):
        raise ValueError(f"the entry point {family!r} of 'clew.{ROOM}' gives {record!r:.80}, which is no Architecture")
    return record


def interleaved(n_heads: int, d_head: int, order: str = "qkv") -> Columns:
    """Fused layout [head, q k v, d_head], as in GPT-NeoX and BLOOM."""
    columns = torch.arange(n_heads * 3 * d_head).view(n_heads, 3, d_head)
    return {part: columns[:, i].reshape(-1) for i, part in enumerate(order)}


def side_by_side(d_q: int, d_kv: int) -> Columns:
    """Fused layout [all q | all k | all v], as in GPT-2."""
    start = {"q": (0, d_q), "k": (d_q, d_q + d_kv), "v": (d_q + d_kv, d_q + 2 * d_kv)}
    return {part: torch.arange(*ends) for part, ends in start.items()}
