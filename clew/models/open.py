"""open: a model from a bundled name, a hub id, a local folder, a GGUF file, or a module you already hold."""

from __future__ import annotations

import hashlib
import logging
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from clew.doors import door
from clew.files import cache_folder
from clew.models.body import Body
from clew.models.bundled import BUNDLED, bundled_folder, convert_gguf
from clew.models.model import Model
from clew.models.selfcheck import known_refusals
from clew.scale.once import once

log = logging.getLogger("clew")


DTYPES = {
    torch.float32: ("float32", "fp32", "f32", "float"),
    torch.float16: ("float16", "fp16", "f16", "half"),
    torch.bfloat16: ("bfloat16", "bf16"),
    torch.float64: ("float64", "fp64", "f64", "double"),
}
"""What clew runs in, and by which names it is asked for."""


@door(name=f"give a bundled name ({', '.join(BUNDLED)}), a hub id, a folder, a GGUF file, or a module you hold")
def open_model(
    name: str | Path | PreTrainedModel,
    *,
    dtype: torch.dtype | str | None = None,
    device: str | torch.device | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> Model:
    """Open a causal language model; the module itself is never modified.

    Args:
        name: a bundled name (`smollm2-135m`, `gemma3-270m`), a hub id, a folder, a GGUF file, or a
            `PreTrainedModel` you hold (then also pass its `tokenizer`).
        dtype: of the weights, such as torch.bfloat16 or "bf16"; float32 for bundled and GGUF models, else as saved.
        device: where to put it ("cpu", "cuda", "cuda:1", "mps"); where it is, or the CPU, by default.

    Raises: ValueError naming what was given and what can be opened.
    """
    dtype, device = _dtype(dtype), _device(device)
    if isinstance(name, PreTrainedModel):
        module, label = name, name.config.name_or_path or type(name).__name__
        here = next(module.parameters())
        if dtype not in (None, here.dtype) or (device is not None and device.type != here.device.type):
            raise ValueError(
                f"the module you hold is {here.dtype} on {here.device}, and clew does not change it; call module.to(...) "
                "yourself, or open it by name"
            )
    else:
        label = str(name)
        folder = _folder(label)
        module, tokenizer = _load(folder, label, dtype, tokenizer)
        module = module if device is None else module.to(device)  # pyright: ignore[reportArgumentType]
    bad = next((n for n, p in module.named_parameters() if not bool(torch.isfinite(p).all())), None)
    if bad is not None:
        raise ValueError(
            f"the weights of {label} hold values that are not finite numbers (NaN or inf), first in {bad!r}"
        )
    body = Body(module, tokenizer, label)
    body.refused.update(known_refusals(body))
    return Model(body)


def _dtype(given: torch.dtype | str | None) -> torch.dtype | None:
    """Raises: ValueError for another than those that clew runs in."""
    if given is None:
        return None
    word = str(given).removeprefix("torch.").lower()
    found = next((dtype for dtype, names in DTYPES.items() if word in names), None)
    if found is None:
        known = ", ".join(names[0] for names in DTYPES.values())
        raise ValueError(
            f"{word!r} is not a dtype that clew runs in; use one of {known} (bf16, fp16 and the like will do)"
        )
    return found


def _device(given: str | torch.device | None) -> torch.device | None:
    """Raises: ValueError for a device that is none, or is not here."""
    try:
        device = None if given is None else torch.device(given)
    except RuntimeError as error:
        raise ValueError(f"{given!r} is not a device; use cpu, cuda, a certain one such as cuda:1, or mps") from error
    here = {"cuda": torch.cuda.device_count, "mps": torch.mps.device_count}
    if device is not None and device.type in here and (device.index or 0) >= here[device.type]():
        raise ValueError(f"there is no device {str(device)!r} on this machine; leave it out to run on the CPU")
    return device


def _folder(name: str) -> str:
    if name in BUNDLED:
        if BUNDLED[name].terms:
            log.warning(BUNDLED[name].terms)
        return str(bundled_folder(name))
    path = Path(name).expanduser()
    if path.suffix == ".gguf":
        if not path.is_file():
            raise ValueError(f"there is no file {path}")
        return str(_converted(path))
    if path.is_dir():
        if not (path / "config.json").exists():
            raise ValueError(f"{path} is no transformers folder: it has no config.json")
        return str(path)
    if path.exists() or name.count("/") > 1 or name.startswith((".", "~", "/")):
        raise ValueError(
            f"{name!r} is neither a transformers folder nor a .gguf file; bundled models are {', '.join(BUNDLED)}"
        )
    if name.startswith("planted/"):
        raise ValueError(
            f"{name!r} is written by hand and comes with its behaviour and its circuit: "
            f"clew.data.planted.{name.removeprefix('planted/')}().model"
        )
    if "/" not in name and (meant := get_close_matches(name.lower(), BUNDLED, 1, 0.8)):
        raise ValueError(f"{name!r} is no model; did you mean {meant[0]!r}? A model on the hub is called OWNER/NAME")
    return name


def _converted(path: Path) -> Path:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    return once(cache_folder("models") / f"{path.stem}-{digest}", partial(convert_gguf, path), f"converting {path}")


def _load(
    folder: str, name: str, dtype: torch.dtype | None, tokenizer: PreTrainedTokenizerBase | None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        module, loaded = AutoModelForCausalLM.from_pretrained(  # pyright: ignore[reportGeneralTypeIssues]
            folder, config=config, dtype=dtype or "auto", output_loading_info=True, trust_remote_code=False
        )
    except SafetensorError as error:
        raise ValueError(f"the weights of {name} are damaged or cut short ({error}); fetch them again") from error
    except UnpicklingError as error:
        raise ValueError(
            f"the weights of {name} are a pickle that is damaged or holds more than tensors; have them as safetensors"
        ) from error
    except OSError as error:
        raise ValueError(
            f"cannot open {name!r} as a hub id or folder ({str(error).splitlines()[0]}). Bundled models, which "
            f"need no hub: {', '.join(BUNDLED)}"
        ) from error
    except ValueError as error:
        if "trust_remote_code" not in str(error):
            raise
        raise ValueError(
            f"{name} brings code of its own (auto_map in its config.json), which clew does not run; load the module, "
            "then clew.open(module, tokenizer=...)"
        ) from error
    if loaded["missing_keys"]:
        raise ValueError(
            f"{name} lacks {len(loaded['missing_keys'])} tensors that its config asks for, first "
            f"{min(loaded['missing_keys'])!r}; transformers would make them up at random"
        )
    try:
        return module, tokenizer or AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise ValueError(f"{name} comes without a tokenizer that can be read; pass tokenizer=... to open it") from error
