"""What a GGUF file must say of its model, and may not: transformers fills in what is missing and passes over what it
does not read.

Either would give a model that runs and computes something else, so both are refused by the name of the key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel
from transformers.integrations.ggml import GGUF_CONFIG_MAPPING

from clew.files import whole
from clew.near import near

ALIASES = {"qwen2moe": "qwen2_moe", "qwen3moe": "qwen3_moe", "gpt-oss": "gpt_oss", "minimax-m2": "minimax_m2"}
"""How transformers calls what GGUF calls otherwise."""
SHAPES = ("vocab_size", "rope.dimension_count", "attention.head_count_kv")
"""Keys that may be missing where the tensors say the same."""
CHANGES = frozenset(("scaling", "scale", "softcapping", "clamp_kqv", "sliding_window", "max_alibi_bias"))
"""Words in keys that change what is computed."""
ALSO = {"gpt2": "merges", "llama": "scores"}
"""What a tokenizer of each kind needs beside its tokens."""


def check_header(path: Path) -> int:
    """How many numbers the tensors of a GGUF file hold.

    Raises: ValueError naming the key that a GGUF file lacks, or has though transformers does not read it."""
    from gguf import GGUFReader

    with whole(path, "GGUF file"):
        reader = GGUFReader(path)
        fields: dict[str, Any] = {name: field.contents() for name, field in reader.fields.items()}
        shapes = {str(t.name): tuple(map(int, t.shape)) for t in reader.tensors}
    lacking = next(_lacking(fields, shapes), None)
    if lacking is not None:
        raise ValueError(
            f"{path} does not say its {lacking!r}, and a default in its place might be another model's; have the file "
            "converted anew, or open the folder that it was made from"
        )
    unread = next(_unread(fields, shapes), None)
    if unread is not None:
        raise ValueError(
            f"{path} holds {unread!r}, which changes what the model computes and which transformers does not read from a "
            "GGUF file; open the folder that it was made from"
        )
    return sum(map(prod, shapes.values()))


def check_taken(path: Path, numbers: int, module: PreTrainedModel, loaded: Mapping[str, Any]) -> None:
    """Raises: ValueError for tensors that are missing, of other shapes than the metadata say, or left over.

    Args: numbers: what `check_header` gave. loaded: what transformers says of what it loaded.
    """
    if lacks := loaded["missing_keys"]:
        raise ValueError(
            f"{path} lacks {len(lacks)} tensors that its metadata ask for, first {min(lacks)!r}; transformers would make "
            "them up at random"
        )
    if odd := sorted(loaded["mismatched_keys"]):
        raise ValueError(f"{path} holds {odd[0][0]!r} as {list(odd[0][1])}, and its metadata ask for {list(odd[0][2])}")
    taken = sum(p.numel() for p in module.parameters())
    if taken != numbers:
        raise ValueError(
            f"the tensors of {path} hold {numbers:,} numbers and the model of its metadata takes {taken:,}; transformers "
            "would pass over the rest (biases or blocks that no key tells of)"
        )


def _lacking(fields: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> Iterator[str]:
    """The keys that are due and not there."""
    if "general.architecture" not in fields:
        yield "general.architecture"
        return
    name = str(fields["general.architecture"])
    for key, target in _read(name).items():
        due = target is not None and target != -1 and (key not in SHAPES or _shares_keys(key, shapes))
        if due and f"{name}.{key}" not in fields:
            yield f"{name}.{key}"
    kind = str(fields.get("tokenizer.ggml.model"))
    for key in ("model", "tokens", *([ALSO[kind]] if kind in ALSO else [])):
        if f"tokenizer.ggml.{key}" not in fields:
            yield f"tokenizer.ggml.{key}"


def _shares_keys(key: str, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether it is the number of key-value heads that is asked for, and keys are narrower than queries."""
    return key == "attention.head_count_kv" and shapes.get("blk.0.attn_k.weight") != shapes.get("blk.0.attn_q.weight")


def _unread(fields: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> Iterator[str]:
    """What changes the computation and is passed over."""
    name = str(fields["general.architecture"])
    read, prefix = _read(name), f"{name}."
    plain = fields.get(f"{name}.rope.scaling.type", "none") == "none"
    for key, value in fields.items():
        short = key.removeprefix(prefix)
        words = set(short.replace(".", "_").split("_")) | set(short.split("."))
        about_rope = short.startswith("rope.scaling.")
        nothing = value in (0, 0.0, 1.0, "none", False) or (about_rope and plain)
        if key.startswith(prefix) and short not in read and words & CHANGES and not nothing and name != "gpt-oss":
            yield key
    yield from (key for key in shapes if key.startswith("rope_f"))


def _read(name: str) -> Mapping[str, Any]:
    """The keys that transformers reads of an architecture, and what they become. Raises: ValueError for an unknown one."""
    known: Mapping[str, Mapping[str, Any]] = GGUF_CONFIG_MAPPING
    if (found := known.get(ALIASES.get(name, name))) is None:
        kinds = [kind for kind in known if kind not in ("general", "tokenizer")]
        raise ValueError(f"transformers reads no GGUF file of the architecture {name!r}; {near(name, kinds)}")
    return found
