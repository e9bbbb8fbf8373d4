"""Adapters of PEFT in a folder: opened as the model that they were made for, with the adapters in its layers.

They stay in layers of their own, so that what is computed is what PEFT computes, bit for bit; merged into the weights, they
would be rounded. Source: Hu et al. 2021 (arXiv:2106.09685) for the most common kind.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn
from transformers import PreTrainedModel

from clew.files import entry, entry_or, read_any_json

CONFIG = "adapter_config.json"


@dataclass(frozen=True)
class Adapter:
    """What a folder with an adapter says of the model that it was made for."""

    folder: Path
    base: str
    """Its name, as `clew.open` takes it."""
    revision: str | None

    @classmethod
    def of(cls, folder: str) -> Adapter | None:
        """What the folder says; None for one with a model of its own, and for a name.

        Raises: ValueError for a config that does not say for which model it is.
        """
        place = Path(folder)
        if not (place / CONFIG).is_file() or (place / "config.json").is_file():
            return None
        held, origin = read_any_json(place / CONFIG), str(place / CONFIG)
        if entry_or(held, "base_model_name_or_path", str, None, origin=origin) is None:
            raise ValueError(
                f"{place} holds an adapter (PEFT) that does not say for which model it is: put it into that model, with "
                f"peft.PeftModel.from_pretrained(module, {str(place)!r}), and give clew.open what that returns"
            )
        base = entry(held, "base_model_name_or_path", str, origin=origin)
        return cls(place, base, entry_or(held, "revision", str, None, origin=origin))

    @property
    def tokenizer(self) -> str | None:
        """Where a tokenizer of its own lies, which may know more tokens than that of the model."""
        return str(self.folder) if (self.folder / "tokenizer_config.json").is_file() else None

    def put_into(self, module: PreTrainedModel) -> nn.Module:
        """The model with the adapter in its layers, as PEFT wraps it.

        Raises: ImportError saying which extra to install; ValueError for an adapter that does not fit the model, or lacks
        tensors or holds some that have no place in it, which PEFT would make up or leave out.
        """
        peft = required(str(self.folder))
        if not any((self.folder / f"adapter_model.{kind}").is_file() for kind in ("safetensors", "bin")):
            raise ValueError(f"{self.folder} holds the config of an adapter and no adapter_model.safetensors")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what they say is refused below
            try:
                wrapped = peft.PeftModel.from_pretrained(module, str(self.folder))
                loaded = wrapped.load_adapter(str(self.folder), "default")  # again, for what became of each tensor
            except Exception as error:  # kinds of adapters fail in their own ways
                why = str(error).strip().rpartition("\n")[2].strip() or type(error).__name__
                raise ValueError(f"the adapter in {self.folder} does not fit {self.base!r}: {why}") from error
        if wrapped.active_peft_config.is_prompt_learning:  # its tensors lie elsewhere; it is refused for what it is
            return wrapped
        for what, names in (("lacks", loaded.missing_keys), ("holds", loaded.unexpected_keys)):
            if names:
                where = "that its config asks for" if what == "lacks" else f"that have no place in {self.base!r}"
                raise ValueError(
                    f"the adapter in {self.folder} {what} {len(names)} tensors {where}, first {min(names)!r}; was it made "
                    "for another model?"
                )
        return wrapped


def required(name: str) -> Any:
    """The package PEFT. Raises: ImportError saying which extra to install, and why."""
    try:
        import peft  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError(f"{name} holds an adapter, which needs peft: pip install 'clew[adapters]'") from error
    return peft


def switched(module: nn.Module) -> Iterator[str]:
    """What layers with adapters compute beside what their tensors say: which are on, merged or off, and their scales."""
    for path, layer in module.named_modules():
        off: Any = getattr(layer, "disable_adapters", None)
        if isinstance(off, bool):  # a transformers model has a method of that name
            said = {name: getattr(layer, name, None) for name in ("active_adapters", "merged_adapters", "scaling")}
            yield f"{path} {'off' if off else 'on'} {said}\n"
