"""sparsify (EleutherAI): a folder named after a module, with cfg.json and sae.safetensors.

encoder.weight and W_dec are both [unit, d]; W_skip is [d_out, d_in]. The encoder reads x - b_dec,
unless it is a transcoder. https://github.com/EleutherAI/sparsify
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from clew.dictionaries.abstopk import AbsTopK
from clew.dictionaries.dictionary import Dictionary
from clew.dictionaries.formats._tensors import bias, check_sizes, made, need, pick, read_config, refuse
from clew.dictionaries.hooks import Ends, before, ends, folder_name, site
from clew.dictionaries.topk import TopK
from clew.files import entry, entry_or, write_folder, writer_of
from clew.sites import Site
from clew.tensors import read_tensors, writer_of_tensors

WEIGHTS, CONFIG = "sae.safetensors", "cfg.json"
NAMES = {"W_enc": "encoder.weight", "b_enc": "encoder.bias", "W_dec": "W_dec", "b_dec": "b_dec"}
SETTINGS = ("activation", "k", "transcode", "skip_connection", "signed", "d_in", "num_latents")
MODULES = {"embed": "embed", "resid": "layers.{}", "attn": "layers.{}.self_attn", "mlp": "layers.{}.mlp"}
"""The module whose output each part is; the model's own path to it may be longer."""


def matches(path: Path) -> bool:
    """A folder with weights under sparsify's name."""
    return (path / WEIGHTS).is_file()


def read(path: Path, at: Ends | None) -> list[Dictionary]:
    """The dictionary of one module; a `signed` one, of early versions, keeps the largest of either sign: AbsTopK.

    A transcoder of `layers.3.mlp` reads mlp_in.3; one of `layers.3` reads what enters block 3.
    Raises: ValueError for group-max activations.
    """
    if not (path / CONFIG).is_file():
        raise ValueError(f"there is {WEIGHTS} but no {CONFIG} beside it; fetch both")
    config = read_config(path / CONFIG, SETTINGS)
    said = partial(entry_or, config, origin=CONFIG)
    if said("activation", str, "topk") != "topk":
        raise refuse("activation", config["activation"], ["topk"])
    if "activation" in config:  # by a version that always says
        need(config, "transcode", file=CONFIG)
    transcode, skip = said("transcode", bool, False), said("skip_connection", bool, False)
    names = NAMES | ({"W_skip": "W_skip"} if skip else {})
    tensors = pick(read_tensors(path / WEIGHTS)[0], names, WEIGHTS, turned="W_enc W_skip")
    name = folder_name(path)
    reads, writes = _ends(site(name), transcode) if at is None and name else ends(at, spans=transcode)
    cls, k = AbsTopK if said("signed", bool, False) else TopK, entry(config, "k", int, origin=CONFIG)
    more = {"centred": not transcode, "format": "sparsify", "config": config}
    found = made(WEIGHTS, cls, reads, writes, k=k, **tensors, **more)
    check_sizes(found, config, CONFIG, d_in="d_in")
    if said("num_latents", int, 0, at_least=0):  # 0 means that the factor says
        check_sizes(found, config, CONFIG, n_units="num_latents")
    return [found]


def write(dictionary: Dictionary, path: Path) -> None:
    """Save to a folder that sparsify's `SparseCoder.load_from_disk` opens; its name says the module, as in `layers.3.mlp`.

    The code is the same up to rounding: sparsify takes b_dec off the input of an autoencoder and not of a transcoder,
    so where ours does otherwise the difference goes into encoder.bias.
    Raises: ValueError for types and sites that sparsify does not have, and for a folder named after another module.
    """
    if not isinstance(dictionary, TopK) or dictionary.d_in != dictionary.d_out:
        what = f"{dictionary.kind} dictionary from {dictionary.d_in} to {dictionary.d_out} dimensions"
        raise ValueError(f"sparsify has topk dictionaries of one width, no {what}; save it with format='clew'")
    transcode, sites = dictionary.spans_sites, (dictionary.reads, dictionary.writes)
    module = MODULES.get(dictionary.writes.part, "").format(dictionary.writes.layer)
    if not module or _ends(site(module), transcode) != sites:
        raise ValueError(f"sparsify has no module that reads {sites[0]} and writes {sites[1]}; save with format='clew'")
    named = folder_name(path)
    if named is None or _ends(site(named), transcode) != sites:
        right = str(path.parent / module)
        raise ValueError(f"sparsify names the folder after the module: {right!r}, not {path.name!r}")
    rows = dictionary.W_dec.float().norm(dim=1)
    config = {
        "activation": "topk",
        "expansion_factor": max(1, dictionary.n_units // dictionary.d_in),
        "normalize_decoder": bool(((rows - 1).abs() < 1e-3).all()),
        "num_latents": dictionary.n_units,
        "k": dictionary.k,
        "multi_topk": False,
        "skip_connection": dictionary.W_skip is not None,
        "transcode": transcode,
        "d_in": dictionary.d_in,
    }
    tensors = {
        "encoder.weight": dictionary.W_enc.T,
        "encoder.bias": bias(dictionary, centred=not transcode),
        "W_dec": dictionary.W_dec,
        "b_dec": dictionary.b_dec,
    }
    if dictionary.W_skip is not None:
        tensors["W_skip"] = dictionary.W_skip.T
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_folder(path, {WEIGHTS: writer_of_tensors(tensors), CONFIG: writer_of(json.dumps(config, indent=2))})


def _ends(module: Site | None, transcode: bool) -> Ends:
    assert module is not None
    if not transcode:
        return module, module
    inputs = {"mlp": "mlp_in", "attn": "attn_in"}
    if module.part in inputs:
        return Site(inputs[module.part], module.layer), module
    return before(module.layer or 0), module
