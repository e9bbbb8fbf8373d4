"""An architecture: one record that says where the sites of a family live in its modules.

Only names and layouts, no code path: the transformers module runs unmodified. What a record claims,
`selfcheck` proves by numbers on the model at hand.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from clew import finder
from clew.models.fields import ignored_fields, undeclared_fields, unknown_fields
from clew.models.layout import NO_PATTERN, Layout, Map, Part
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
    tiny: Callable[[], PreTrainedModel] | None = None
    """A small random model of the family, for the tests."""
    blocks: str = "model.layers"
    norm: str = "model.norm"
    unembed: str = "lm_head"
    attn_norm: str | Callable[[Any], str] = "input_layernorm"
    """The norm between the stream and the attention; from the config where it depends on it, empty where there is none."""
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
    """The norm between the stream and the MLP; empty where there is none."""
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

    def layout(self, module: PreTrainedModel) -> Layout:
        """Where the sites of a model of this family are: every block is built the same way."""
        config, n = module.config, len(list(module.get_submodule(self.blocks).children()))
        attn_norm, mlp_norm = (p if isinstance(p, str) else p(config) for p in (self.attn_norm, self.mlp_norm))
        fused = {} if self.columns is None else {part: tuple(c.tolist()) for part, c in self.columns(config).items()}
        paths = (self.qkv,) * 3 if isinstance(self.qkv, str) else self.qkv
        attention = Part(
            "attn",
            self.attn_write or self.attn,
            self.attn,
            attn_norm,
            projection=self.output,
            norm_out=_norm(self.attn_write, self.attn, self.output),
            maps={part: Map(path, fused.get(part)) for part, path in zip("qkv", paths, strict=True)},
            pattern=self.pattern,
            heads=self.heads(config),
            missing={} if self.pattern else {"pattern": NO_PATTERN},
        )
        after = 0 if self.parallel(config) else 1
        mlp = Part(
            "mlp",
            self.mlp_write or self.mlp,
            self.mlp,
            mlp_norm,
            after,
            projection=self.down,
            norm_out=_norm(self.mlp_write, self.mlp, self.down),
        )
        return Layout(self.blocks, self.norm, self.unembed, ((attention, mlp),) * n)


def _norm(write: str, reads: str, projection: str) -> str:
    """The norm that gives a write, where neither the part nor its output projection does."""
    return "" if write in ("", reads, projection) else write


def architecture_of(module: PreTrainedModel) -> Architecture:
    """The record of a model; see `known`."""
    return known(type(module).__name__, module.config)


def known(name: str, config: Any) -> Architecture:
    """The record of a class of models: the file of `architectures/` that bears its config's `model_type`, or an entry point.

    Raises: ValueError for a family without a record, or a config field that changes the computation
    in a way the record does not know, naming the family or the fields.
    """
    family = config.model_type
    if not is_written(config):
        raise ValueError(without_record(name, config))
    record = record_of(family)
    if name not in record.classes:
        raise ValueError(f"{name} is no language model that clew can run; of {family!r} it runs {record.classes}")
    _check_fields(name, config, record)
    return record


def is_written(config: Any) -> bool:
    """Whether somebody wrote a record for the family of a config."""
    return config.model_type.replace("-", "_") in finder.names(ROOM)


def has_record(config: Any, name: str) -> bool:
    """Whether somebody wrote one for this class of models."""
    return is_written(config) and name in record_of(config.model_type).classes


def without_record(name: str, config: Any, why: str = "") -> str:
    """That the family of a class has no record (and why none could be inferred), and how to add one."""
    family = config.model_type
    found = f", and none could be inferred: {why}." if why else f"; {near(family, finder.names(ROOM))}"
    return (
        f"{name} is of the family {family!r}, which has no architecture record{found} "
        "To add one, write one file in clew/models/architectures or an entry point of 'clew.models.architectures' "
        "(docs/extend.md shows how)"
    )


def check_ignored(
    name: str, config: Any, understands: Collection[str] = (), always: Mapping[str, Any] = MappingProxyType({})
) -> None:
    """Raises: ValueError for a field about the numbers that transformers does not read in this family.

    Args: understands, always: as in a record.
    """
    if ignored := ignored_fields(config, understands, always):
        raise ValueError(
            f"the config of this {name} sets {_listed(ignored)}, which transformers does not read in this family, so what "
            "it computes may not be what the model's makers meant; if it changes nothing, take it out of the config"
        )


def _check_fields(name: str, config: Any, record: Architecture) -> None:
    for key, why in record.refuses.items():
        if getattr(config, key, None) is not None:
            raise ValueError(f"the config of this {name} sets {key}={getattr(config, key)!r}: {why}")
    if strange := unknown_fields(config, record.understands):
        raise ValueError(
            f"the config of this {name} sets {_listed(strange)}, which changes the computation in a way that clew does "
            "not know; after checking what it does to the sites, add the field to `understands` of the record"
        )
    check_ignored(name, config, record.understands, record.always)
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
