"""The layout of a model: by what somebody wrote for its family, else inferred, and kept for the next time."""

from __future__ import annotations

import hashlib
import inspect
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn
from transformers import PreTrainedModel

from clew.files import cache_folder, check_whole, entries, entry, read_json, spared, texts_by_name, write_json
from clew.models.architecture import architecture_of, check_ignored, has_record, without_record
from clew.models.inference.infer import infer
from clew.models.layout import ANSWERS, KINDS, Layout, Map, Part

FORMAT = "clew inferred architecture"


Weights = Callable[[], str]
"""Asked for a hash of a model's weights and config, where nobody wrote a record for it."""


def known_layout(module: PreTrainedModel, weights: Weights) -> Layout:
    """The layout of a model.

    Raises: ValueError for a family without a record, saying what could not be inferred; or for a config that the record
    does not know or transformers does not read.
    """
    if has_record(module.config, type(module).__name__):
        return architecture_of(module).layout(module)
    check_ignored(type(module).__name__, module.config, _words(module), _always(module))
    return kept_layout(module, weights)


def _always(module: PreTrainedModel) -> dict[str, str]:
    """What older configs say of positions, where the module does so anyway: it has a table of them."""
    tables = (path for path, part in module.named_modules() if isinstance(part, nn.Embedding))
    return (
        {"position_embedding_type": "absolute"} if any(path.endswith("position_embeddings") for path in tables) else {}
    )


def kept_layout(module: PreTrainedModel, weights: Weights) -> Layout:
    """What was inferred, once per weights, config, dtype and versions; each time where others have put hooks on
    the module, or another forward into it, which are not in its weights.

    Raises: ValueError saying what could not be inferred.
    """
    if any(m._forward_hooks or m._forward_pre_hooks or "forward" in vars(m) for m in module.modules()):
        return _inferred(module)
    path = cache_folder("inferred") / f"{_setting(module, weights())}.json"
    with spared(), suppress(ValueError):  # damaged, it is as good as not there
        if path.exists():
            return _read(path)
    layout = _inferred(module)
    with spared():
        write_json(path, {"format": FORMAT, **asdict(layout)})
    return layout


def _words(module: PreTrainedModel) -> set[str]:
    """All names in the source file of the model's class: a config field that is none of them is not read there."""
    with suppress(OSError):
        return set(re.findall(r"\w+", inspect.getsource(sys.modules[type(module).__module__])))
    return set()


def _inferred(module: PreTrainedModel) -> Layout:
    try:
        return infer(module)
    except Exception as error:  # a model that is not built as we expect is refused, whatever it raises
        why = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}, {error}"
        raise ValueError(without_record(type(module).__name__, module.config, why)) from error


def _setting(module: PreTrainedModel, weights: str) -> str:
    sources = sorted(Path(__file__).parent.glob("*.py"))  # how it is inferred may change with clew
    how = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:8]
    attention = getattr(module.config, "_attn_implementation", None)
    return f"{weights}-{module.dtype}-{attention}-{transformers.__version__}-{torch.__version__}-{how}".replace(
        "torch.", ""
    )


def _read(path: Path) -> Layout:
    """What was inferred before. Raises: ValueError naming the file and the place in it."""
    value, origin = read_json(path, FORMAT), str(path)
    named = [name for name in value if name != "format"]
    return _layout({name: value[name] for name in named}, origin)


def _layout(value: Any, origin: str) -> Layout:
    check_whole(value, [field.name for field in fields(Layout)], origin)
    words = ("blocks", "norm", "unembed", "inner")
    blocks, norm, unembed, inner = (entry(value, name, str, origin=origin) for name in words)
    parts = entries(value, "parts", list, origin=origin)
    read = (
        tuple(_part(held, f"{origin}: parts[{i}][{j}]") for j, held in enumerate(block))
        for i, block in enumerate(parts)
    )
    causal = entry(value, "causal", bool, origin=origin)
    answers = entry(value, "answers", str, origin=origin, among=ANSWERS)
    positions = entry(value, "positions", int, origin=origin, at_least=0)
    order = tuple(entries(value, "order", int, origin=origin))
    encoder = (
        None
        if value["encoder"] is None
        else _layout(entry(value, "encoder", dict, origin=origin), f"{origin}: encoder")
    )
    return Layout(blocks, norm, unembed, tuple(read), causal, answers, positions, order, inner, encoder)


def _part(held: Any, origin: str) -> Part:
    check_whole(held, [field.name for field in fields(Part)], origin)
    words = (
        "write",
        "reads",
        "norm",
        "norm_after",
        "norm_out",
        "projection",
        "pattern",
        "attends",
        "experts",
        "mixture",
    )
    words += ("gate", "shared", "shared_gate", "shared_projection")
    said: dict[str, str] = {name: entry(held, name, str, origin=origin) for name in words}
    n_heads, n_kv_heads = entries(held, "heads", int, origin=origin)
    maps = entry(held, "maps", dict, origin=origin)
    return Part(
        kind=entry(held, "kind", str, origin=origin, among=KINDS),
        after=entry(held, "after", int, origin=origin, at_least=0),
        factor=entry(held, "factor", float, origin=origin),
        gated=entry(held, "gated", bool, origin=origin),
        sinks=entry(held, "sinks", bool, origin=origin),
        expert_units=entry(held, "expert_units", bool, origin=origin),
        heads=(n_heads, n_kv_heads),
        maps={name: _map(maps[name], f"{origin}.maps.{name}") for name in maps},
        missing=texts_by_name(held, "missing", origin=origin),
        **said,
    )


def _map(held: Any, origin: str) -> Map:
    check_whole(held, [field.name for field in fields(Map)], origin)
    columns = None if held["columns"] is None else tuple(entries(held, "columns", int, origin=origin))
    return Map(entry(held, "path", str, origin=origin), columns, entry(held, "latent", bool, origin=origin))
