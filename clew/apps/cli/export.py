"""clew export: an edited model as a transformers folder, or its vectors as a file of another tool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from clew.apps.cli._evidence import stack_of
from clew.apps.cli._groups import Machine
from clew.apps.cli._terminal import Json, Several, say, working


def export(
    model: str,
    /,
    *,
    edit: Annotated[tuple[Path, ...], Several],
    to: Path | None = None,
    gguf: Path | None = None,
    steering_vectors: Path | None = None,
    machine: Machine = Machine(),
    json: Json = False,
) -> None:
    """Write an edited model for use without clew.

    --to writes a folder that `AutoModelForCausalLM.from_pretrained` loads: config, safetensors, tokenizer. Updates of weights
    are in it bit for bit; what is added at every position moves into a bias where the model has one there; any other
    edit of activations is refused by name. --gguf and --steering-vectors write what is added to the stream as vectors.

    Parameters
    ----------
    model
        What the edits were made for: a bundled name (`clew models`), a folder, a GGUF file or a hub id.
    edit
        Files of edits, made one after the other: what `clew edit` saved, a GGUF control vector, a torch file of the
        steering-vectors package.
    to
        A folder that is not there yet.
    gguf
        A GGUF control vector, for llama.cpp and repeng.
    steering_vectors
        A torch file of layers and vectors, for the steering-vectors package.
    """
    if not (to or gguf or steering_vectors):
        raise ValueError("say what to write: --to FOLDER, --gguf FILE or --steering-vectors FILE")
    view = machine.open(model)
    from clew.models.export import save_pretrained

    stack = stack_of(edit, view)
    written: dict[str, str] = {}
    notes: tuple[str, ...] = ()
    for format, path in (("gguf", gguf), ("steering_vectors", steering_vectors)):
        if path:
            written[format] = str(stack.save(path, format=format, model=view))
    if to:
        with working(f"writing {to}"):
            notes = save_pretrained(view.edited(stack), to)
        written["folder"] = str(to)
    lines = [
        f"{len(stack)} edit{'s' * (len(stack) != 1)} of {model}",
        *notes,
        *(f"saved as {path}" for path in written.values()),
    ]
    say("\n".join(lines), {"edits": [str(e) for e in stack], "notes": list(notes), **written}, json)
