"""Dictionaries on the Hugging Face hub: a repository of safetensors files, one per dictionary, and a model card."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clew.dictionaries.loading import load
from clew.files import write_text
from clew.report import Report
from clew.sites import Site

LONG = 300
"""How many characters of a value of `meta` the card shows; what is longer stands in the file's header alone."""


def push_to_hub(
    dictionaries: Sequence[Any],
    repo_id: str,
    *,
    report: Report | None = None,
    private: bool = False,
    token: str | None = None,
) -> str:
    """Upload dictionaries and a model card; the repository is made if it is not there, other files in it stay.

    Args: report: measures to show on the card. private: for a repository made here. token: else the one you logged
        in with (`hf auth login`).
    Returns: the address of the repository.
    Raises: ValueError when there is nothing to upload, or two dictionaries of the same sites.
    """
    import huggingface_hub

    card = model_card(dictionaries, report)
    with tempfile.TemporaryDirectory() as folder:
        for dictionary in dictionaries:
            dictionary.save(Path(folder, file_name(dictionary)))
        write_text(Path(folder, "README.md"), card.replace(REPO, repo_id))
        url = huggingface_hub.create_repo(repo_id, private=private, exist_ok=True, token=token)
        huggingface_hub.upload_folder(repo_id=repo_id, folder_path=folder, token=token, commit_message="Dictionaries")
    return str(url)


def from_pretrained(
    repo_id: str, *, pattern: str | None = None, revision: str | None = None, at: Site | str | None = None
) -> list[Any]:
    """The dictionaries of a repository on the hub, in forward order; every format that `Dictionary.load` knows.

    Args: pattern: files to fetch, as in "layers.3/*"; all by default. revision: a branch, tag or commit. at: as in
        `Dictionary.load`.
    Raises: ValueError when what was fetched holds no dictionary.
    """
    import huggingface_hub

    folder = huggingface_hub.snapshot_download(repo_id, revision=revision, allow_patterns=pattern)
    return load(str(folder), at)


REPO = "ORG/NAME"


def model_card(dictionaries: Sequence[Any], report: Report | None = None) -> str:
    """Markdown: what each file reads, writes and holds, how it was trained, and the report's rows with intervals.

    Raises: ValueError when there is no dictionary, or two of the same sites.
    """
    files = [file_name(d) for d in dictionaries]
    if not files:
        raise ValueError("there is no dictionary to upload")
    twice = next((name for name in files if files.count(name) > 1), None)
    if twice:
        raise ValueError(f"two dictionaries would be {twice}; push them to two repositories")
    models = list(dict.fromkeys(str(model) for d in dictionaries if (model := _model(d.meta))))
    front = ["library_name: clew", "tags: [clew, sparse-autoencoder, dictionary-learning, interpretability]"]
    front += [f"base_model: {model}" for model in models[:1] if "/" in model]
    sections = [
        "\n".join(["---", *front, "---"]),
        f"# Dictionaries of {', '.join(models) or 'a language model'}",
        f'```python\nimport clew\n\ndictionaries = clew.Dictionary.from_pretrained("{REPO}")\n```',
        _table(
            ["file", "reads", "writes", "type", "units", "settings"],
            [
                [f"`{file}`", d.reads, d.writes, d.kind, f"{d.n_units:,}", _plain(getattr(d, "settings", {}))]
                for file, d in zip(files, dictionaries, strict=True)
            ],
        ),
        "## Training",
        *_training(dictionaries, files),
    ]
    if report is not None:
        rows = [
            [f"{r.measure} {r.of}".strip(), r.nodes or "", f"{r.value:.4g}", r.interval(".4g"), r.examples]
            for r in report.rows
        ]
        sections += [f"## {report.title}", _table(["measure", "nodes", "value", "95 % interval", "examples"], rows)]
        sections += ["\n".join(f"- {note}" for note in report.notes)] if report.notes else []
    return "\n\n".join(sections) + "\n"


def file_name(dictionary: Any) -> str:
    """`resid.3.safetensors`, or `mlp_in.3-mlp.3.safetensors` for a transcoder."""
    sites = f"{dictionary.reads}-{dictionary.writes}" if dictionary.spans_sites else f"{dictionary.reads}"
    return f"{sites}.safetensors"


def _model(meta: dict[str, Any]) -> Any:
    """The name of the model, wherever the trainer or the published config put it."""
    places = [meta, meta.get("trained"), meta.get("config"), (meta.get("config") or {}).get("metadata")]
    held = [place for place in places if isinstance(place, dict)]
    return next((p[key] for p in held for key in ("model", "model_name", "lm_name") if p.get(key)), None)


def _training(dictionaries: Sequence[Any], files: list[str]) -> list[str]:
    """What all dictionaries share once, then what differs."""
    told = [{key: _plain(value) for key, value in d.meta.items()} for d in dictionaries]
    shared = {key: value for key, value in told[0].items() if all(other.get(key) == value for other in told)}
    lines = [_list(shared)] if shared else []
    for file, each in zip(files, told, strict=True):
        own = {key: value for key, value in each.items() if key not in shared}
        lines += [f"### {file}", _list(own)] if own else []
    return lines or ["The files do not say how they were trained."]


def _list(told: dict[str, str]) -> str:
    return "\n".join(f"- {key}: {value}" for key, value in told.items())


def _plain(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    text = text if isinstance(value, str | int | float) else f"`{text}`"
    return text if len(text) <= LONG else f"{len(text):,} characters, in the header of the file"


def _table(head: list[str], rows: list[list[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
