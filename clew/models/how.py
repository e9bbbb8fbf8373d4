"""How a model is to be loaded: in what, onto what, in which state of the hub, with which of its layers quantised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from transformers import AutoConfig, AutoTokenizer
from transformers.quantizers.auto import AutoQuantizationConfig
from transformers.utils.quantization_config import QuantizationConfigMixin

from clew.models.bundled import BUNDLED

Quantisation = QuantizationConfigMixin | Mapping[str, Any]
"""A config of transformers', or what it is in JSON, with its `quant_method`."""
Placed = str | Mapping[str, Any]
"""How accelerate shall spread a model: "auto" and the like, or a device for each part."""


@dataclass(frozen=True)
class How:
    """What is handed on to transformers; what was not asked for is None."""

    dtype: torch.dtype | None = None
    device: torch.device | None = None
    revision: str | None = None
    quantization_config: Quantisation | None = None
    device_map: Placed | None = None

    def __post_init__(self) -> None:
        if self.device is not None and self.device_map is not None:
            raise ValueError("device= puts a model on one device and device_map= spreads it over several; give one")

    @property
    def moved(self) -> bool:
        """Whether the module is put on its device after it was loaded; layers that are quantised are loaded there."""
        return self.device is not None and self.quantization_config is None

    @property
    def asks(self) -> bool:
        """Whether layers are to be quantised or spread."""
        return self.quantization_config is not None or self.device_map is not None

    def check_module(self, kind: str) -> None:
        """Raises: ValueError for what can be asked of a name alone."""
        asked = {
            "revision": self.revision,
            "quantization_config": self.quantization_config,
            "device_map": self.device_map,
        }
        if given := [f"{name}=" for name, value in asked.items() if value is not None]:
            raise ValueError(
                f"the {kind} you hold is loaded already, and clew does not change it; {' and '.join(given)} go with a name "
                "or a folder"
            )

    def arguments(self) -> dict[str, Any]:
        """As `from_pretrained` of transformers takes them. Raises: ValueError for a quantisation that it does not know."""
        spread: Any = self.device_map
        if self.device is not None and not self.moved:
            spread = {"": self.device}
        asked: dict[str, Any] = {
            "revision": self.revision,
            "quantization_config": _quantisation(self.quantization_config),
            "device_map": dict(cast("Mapping[str, Any]", spread)) if isinstance(spread, Mapping) else spread,
        }
        return {"dtype": self.dtype or "auto"} | {name: value for name, value in asked.items() if value is not None}


def named(label: str, revision: str | None) -> tuple[str, str | None]:
    """A name and its revision, which may stand behind an @, as in EleutherAI/pythia-70m@step3000.

    Raises: ValueError for two revisions, and for one of a model that has none.
    """
    if Path(label).expanduser().exists() or "@" not in label:
        name, said = label, None
    else:
        name, _, said = label.partition("@")
    if said is not None and revision not in (None, said):
        raise ValueError(f"{label!r} names the revision {said!r}, and revision={revision!r} another one; give one")
    wanted = revision if said is None else said
    here = name in BUNDLED or Path(name).expanduser().exists()
    if wanted is not None and here:
        kind = "comes from a package" if name in BUNDLED else "lies on this disk"
        raise ValueError(f"{name} {kind} and is one state of a model; revision= names one of those on the hub")
    return name, wanted


def config_of(folder: str, revision: str | None) -> Any:
    """The config of a model; nothing of its own code is run."""
    return AutoConfig.from_pretrained(folder, trust_remote_code=False, **({"revision": revision} if revision else {}))


def tokenizer_of(folder: str, revision: str | None) -> Any:
    """The tokenizer of a model."""
    return AutoTokenizer.from_pretrained(
        folder, trust_remote_code=False, **({"revision": revision} if revision else {})
    )


def _quantisation(given: Quantisation | None) -> QuantizationConfigMixin | None:
    if given is None or isinstance(given, QuantizationConfigMixin):
        return given
    try:
        return AutoQuantizationConfig.from_dict(dict(given))
    except ImportError:
        raise
    except Exception as error:  # each config of transformers' looks at its fields in its own way
        raise ValueError(f"quantization_config={dict(given)!r} is none that transformers knows: {error}") from error
