"""open: a model from a bundled name, a hub id, a local folder, a GGUF file, or a module you already hold."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from itertools import groupby
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, cast

import torch
import transformers
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from clew.doors import door
from clew.files import cache_folder
from clew.models._promises import told
from clew.models.adapters import CONFIG as ADAPTER
from clew.models.adapters import Adapter, required
from clew.models.architecture import has_record, known
from clew.models.body import Body
from clew.models.bundled import BUNDLED, bundled_folder, convert_gguf
from clew.models.fingerprint import plain
from clew.models.how import How, Placed, Quantisation, config_of, named, tokenizer_of
from clew.models.model import Model
from clew.models.offloaded import held, is_offloaded, runs_on
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
    name: str | Path | nn.Module,
    *,
    dtype: torch.dtype | str | None = None,
    device: str | torch.device | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
    revision: str | None = None,
    quantization_config: Quantisation | None = None,
    device_map: Placed | None = None,
) -> Model:
    """Open a transformer: a causal language model, an encoder, a classifier, a model of pictures or one of both; the module
    itself is never modified.

    Args:
        name: a bundled name (`smollm2-135m`, `gemma3-270m`), a hub id, a folder, a GGUF file, or a
            `PreTrainedModel` you hold (then also pass its `tokenizer`). One that is compiled, that DataParallel wraps or in
            which PEFT has put adapters is opened as the model inside, which runs as it is, uncompiled. A folder with an
            adapter is opened as the model that it was made for, with the adapter in its layers (extra `adapters`).
        dtype: of the weights, such as torch.bfloat16 or "bf16"; float32 for bundled and GGUF models, else as saved.
        device: where to put it ("cpu", "cuda", "cuda:1", "mps"); where it is, or the CPU, by default.
        revision: of a model on the hub, a branch, a tag or a commit; also behind its name, as in "owner/name@step3000".
        quantization_config: with which layers quantised to load it, a config of transformers' or a dict with its
            `quant_method`; what needs the matrices of such layers is refused by name.
        device_map: how accelerate shall spread it over devices and disk ("auto", ...; extra `offload`).

    Raises: ValueError naming what was given and what can be opened; ImportError naming the package that is needed for it.
    """
    dtype, device = _dtype(dtype), _device(device)
    how = How(dtype, device, revision, quantization_config, device_map)
    name = _unwrapped(name) if isinstance(name, nn.Module) else name
    if isinstance(name, PreTrainedModel):
        how.check_module(type(name).__name__)
        module, label = name, name.config.name_or_path or type(name).__name__
        of, here = next(module.parameters()).dtype, runs_on(module)
        if dtype not in (None, of) or (device is not None and device.type != here.type):
            raise ValueError(
                f"the module you hold is {of} on {here}, and clew does not change it; call module.to(...) "
                "yourself, or open it by name"
            )
    else:
        name, revision = named(str(name), revision)
        label = name if revision is None else f"{name}@{revision}"
        module, tokenizer = _opened(name, label, replace(how, revision=revision), tokenizer)
        module = module.to(device) if how.moved else module  # pyright: ignore[reportArgumentType]
    kept = ((n, t) for n, p in module.named_parameters() for _, t in plain(n, held(module, n, p)))
    bad = next((name for name, t in kept if not bool(_finite(t).all())), None)
    if bad is not None:
        raise ValueError(
            f"the weights of {label} hold values that are not finite numbers (NaN or inf), first in {bad!r}"
        )
    body = Body(module, tokenizer, label)
    body.refused.update(known_refusals(body))
    if body.refused:
        log.warning("of %s clew refuses %s (`clew check` says why)", label, _counted(body.refused))
    if is_offloaded(module):
        body.refused["weights"] = (
            "some of its weights are offloaded (accelerate's device_map), so none can be changed or taken out; open it whole"
        )
    return Model(body)


def _finite(t: Tensor) -> Tensor:
    """Where it is a number; of 8 bits torch cannot say."""
    return torch.isfinite(t.float() if t.is_floating_point() and t.itemsize == 1 else t)


def _counted(refused: Iterable[str]) -> str:
    """Promises, and of each the first address and how many more."""
    groups = [(promise, list(some)) for promise, some in groupby(refused, key=lambda name: name.partition(" ")[0])]
    return ", ".join(some[0] + f" and {len(some) - 1} more" * (len(some) > 1) for _, some in groups)


def _unwrapped(given: nn.Module) -> PreTrainedModel:
    """The transformers model itself. Raises: ValueError for a module that is none and holds none in a way that is known."""
    adapters: dict[str, Any] = getattr(given, "peft_config", None) or {}
    if any(getattr(adapter, "is_prompt_learning", False) for adapter in adapters.values()):
        raise ValueError(
            f"this {type(given).__name__} puts prompts of its own before each input, which the model inside knows nothing "
            "of; clew opens models with adapters in their weights (LoRA and the like)"
        )
    inside = given
    while not isinstance(inside, PreTrainedModel):
        if hasattr(inside, "get_base_model"):
            inside = cast("Any", inside).get_base_model()
        elif isinstance(inside, nn.parallel.DataParallel | nn.parallel.DistributedDataParallel):
            inside = inside.module
        elif "_orig_mod" in inside._modules:
            inside = inside.get_submodule("_orig_mod")
        else:
            raise ValueError(
                f"a {type(inside).__name__} is no transformers model (PreTrainedModel) that clew could open; if it wraps "
                "one, pass that"
            )
    return inside


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
        if not (path / "config.json").exists() and not (path / ADAPTER).exists():
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


def _class_of(config: PreTrainedConfig, name: str) -> type[PreTrainedModel]:
    """The class that the config names, or else the causal language model of its family.

    Raises: ValueError for what no class of transformers is named for, before any weight is read.
    """
    named = next((getattr(transformers, said, None) for said in config.architectures or ()), None)
    kinds = cast("Mapping[type, type[PreTrainedModel]]", MODEL_FOR_CAUSAL_LM_MAPPING)
    if type(config) in kinds and not config.architectures:
        return kinds[type(config)]
    if not (isinstance(named, type) and issubclass(named, PreTrainedModel)):
        said = " or ".join(config.architectures or [type(config).__name__])
        raise ValueError(
            f"{name} is a {said} ({config.model_type}), which is no model of transformers that clew could open"
        )
    return named


def _opened(
    name: str, label: str, how: How, tokenizer: PreTrainedTokenizerBase | None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The module behind a name, with its adapter where the name is that of one."""
    folder = _folder(name)
    if (Path(folder) / ADAPTER).is_file():
        required(name)  # without it transformers passes over an adapter that lies beside a model
    if (adapter := Adapter.of(folder)) is None:
        return _load(folder, label, how, tokenizer)
    try:
        if tokenizer is None and adapter.tokenizer is not None:
            tokenizer = tokenizer_of(adapter.tokenizer, None)
        base, revision = named(adapter.base, adapter.revision)
        module, tokenizer = _load(_folder(base), base, replace(how, revision=revision), tokenizer)
    except ValueError as error:
        raise ValueError(
            f"{name} holds an adapter of the model {adapter.base!r}, which does not open: {error}"
        ) from error
    return _unwrapped(adapter.put_into(module)), tokenizer


def _load(
    folder: str, name: str, how: How, tokenizer: PreTrainedTokenizerBase | None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    config = None
    try:
        config = config_of(folder, how.revision)
        kind = _class_of(config, name)
        if has_record(config, kind.__name__):  # else it takes the weights to infer one
            known(kind.__name__, config)
        module, loaded = kind.from_pretrained(  # pyright: ignore[reportGeneralTypeIssues]
            folder, config=config, output_loading_info=True, trust_remote_code=False, **how.arguments()
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
    except Exception as error:  # what loads quantised or spread layers fails in ways of its own
        if isinstance(error, ImportError) or not (how.asks or hasattr(config, "quantization_config")):
            raise
        raise ValueError(
            f"{name} cannot be loaded with its layers quantised or spread as was asked for ({told(error)})"
        ) from error
    if loaded["missing_keys"]:
        raise ValueError(
            f"{name} lacks {len(loaded['missing_keys'])} tensors that its config asks for, first "
            f"{min(loaded['missing_keys'])!r}; transformers would make them up at random (it says that it is a "
            f"{' or '.join(config.architectures or ['model without a name'])})"
        )
    try:
        return module, tokenizer or tokenizer_of(folder, how.revision)
    except (OSError, ValueError) as error:
        raise ValueError(f"{name} comes without a tokenizer that can be read; pass tokenizer=... to open it") from error
