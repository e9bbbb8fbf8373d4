"""sparsify (EleutherAI): a folder named after a module, with cfg.json and sae.safetensors.

encoder.weight and W_dec are both [unit, d]; W_skip is [d_out, d_in]. The encoder reads x - b_dec,
unless it is a transcoder. https://github.com/EleutherAI/sparsify
"""

from __future__ import annotations

from pathlib import Path

from clew.dictionaries.dictionary import Dictionary
from clew.dictionaries.formats._tensors import checked, need, read_config, read_safetensors, refuse
from clew.dictionaries.formats.hooks import Ends, before, ends, folder_name, site
from clew.dictionaries.topk import TopK
from clew.sites import Site

WEIGHTS, CONFIG = "sae.safetensors", "cfg.json"


def matches(path: Path) -> bool:
    """A folder with weights under sparsify's name."""
    return (path / WEIGHTS).is_file()


def read(path: Path, at: Ends | None) -> list[Dictionary]:
    """The dictionary of one module.

    A transcoder of `layers.3.mlp` reads mlp_in.3; one of `layers.3` reads what enters block 3.
    Raises: ValueError for group-max activations.
    """
    if not (path / CONFIG).is_file():
        raise ValueError(f"there is {WEIGHTS} but no {CONFIG} beside it; fetch both")
    config = read_config(path / CONFIG)
    if config.get("activation", "topk") != "topk":
        raise refuse("activation", config["activation"], ["topk"])
    tensors = checked(read_safetensors(path / WEIGHTS)[0], WEIGHTS)
    W_enc, b_enc, W_dec, b_dec = need(tensors, "encoder.weight", "encoder.bias", "W_dec", "b_dec", file=WEIGHTS)
    k, transcode = int(need(config, "k", file=CONFIG)[0]), bool(config.get("transcode"))
    skip = need(tensors, "W_skip", file=WEIGHTS)[0].T.contiguous() if config.get("skip_connection") else None
    name = folder_name(path)
    reads, writes = _ends(site(name), transcode) if at is None and name else ends(at, spans=transcode)
    return [
        TopK(
            reads,
            writes,
            k=k,
            W_enc=W_enc.T.contiguous(),
            b_enc=b_enc,
            W_dec=W_dec,
            b_dec=b_dec,
            W_skip=skip,
            centred=not transcode,
            format="sparsify",
            config=config,
        )
    ]


def _ends(module: Site | None, transcode: bool) -> Ends:
    assert module is not None
    if not transcode:
        return module, module
    inputs = {"mlp": "mlp_in", "attn": "attn_in"}
    if module.part in inputs:
        return Site(inputs[module.part], module.layer), module
    return before(module.layer or 0), module
