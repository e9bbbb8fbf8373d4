"""Every door through which a file comes in: how to make a whole one, how to read it, and what was read as plain values.

A door is named by its room and format ("dictionaries.formats/saelens"), or by what it reads, and lists the files of clew
that read through it; tests/test_fuzz_files.py fails for a format without a door, and for a file of clew that reads and
that no door leads to.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import lzma
import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

import clew
from clew import Add, Behaviour, Circuit, Facts, Labelled, Pair, Plan, Probe, Secrets, Site, Stack, Update
from clew.apps.cli._evidence import labelled_texts
from clew.apps.cli.train import _plans
from clew.changes import Gate, Scale, Set
from clew.circuits.formats.attribution_graph import read_attribution_graph
from clew.circuits.formats.subgraph import with_subgraph
from clew.circuits.kind import Kind
from clew.circuits.supernode import Supernode
from clew.circuits.verdicts import Verdict, Verdicts
from clew.data.facts.facts import Fact
from clew.data.facts.secrets import Secret
from clew.data.predicates import Clause, Predicate, Rule
from clew.data.text.texts import read_texts, stream_chats
from clew.data.text.windows import cut
from clew.dictionaries import AbsTopK, BatchTopK, Crosscoder, Dictionary, Gated, JumpReLU, ReLU, TopK
from clew.labels import Label, Labels
from clew.methods.weights.bigram_subnetwork import load_masks, matrices, save_masks
from clew.models import families as tables
from clew.models import layout as layouts
from clew.models import selfcheck
from clew.models.adapters import Adapter
from clew.models.inference import kept as inferred
from clew.models.selfcheck import Finding, SelfCheck
from clew.readings import moments
from clew.readings.asking import kept
from clew.readings.asking.answer import Answer, Token
from clew.readings.index.index import Index
from clew.readings.index.parts import Part, Stays, part_of
from clew.readings.index.taken import taken
from clew.readings.moments import second_moment
from clew.readings.store import Store, record
from clew.report import Report, Row
from clew.sites import Where
from clew.studies.comparison.results import Cell, Results
from clew.studies.explaining import spread
from clew.training.loop.batches import Batch
from clew.training.loop.checkpoint import RunFolder
from clew.training.loop.fit import Fit
from clew.training.objective import Clock, Scaling
from tests.models.tiny import model_of


@dataclasses.dataclass(frozen=True)
class Door:
    """One way in."""

    make: Callable[[Path], Path]
    """Write a whole file or folder into an empty folder; returns the path that is read."""
    load: Callable[[Path], Any]
    reads: tuple[str, ...] = ()
    """Files of clew that read through it, beside that of a format."""
    said: tuple[str, ...] = ()
    """The names that decide, where the kind of file may have more, which are kept as they are; all, if there are none."""


DOORS: dict[str, Door] = {}


def door(name: str, load: Callable[[Path], Any], *reads: str) -> Callable[[Callable[[Path], Path]], Any]:
    """Name what makes a file, and say how it is read."""

    def add(make: Callable[[Path], Path]) -> Callable[[Path], Path]:
        DOORS[name] = Door(make, load, reads)
        return make

    return add


# What was read, as plain values.


def plain(value: Any, root: str = "") -> Any:
    """Tensors as their type, shape and bits; records by their fields; paths without the folder they lie in."""
    if isinstance(value, Dictionary):
        held = {"kind": value.kind, "reads": str(value.reads), "writes": str(value.writes), "meta": value.meta}
        return plain(held | {"settings": getattr(value, "settings", {}), "tensors": value.state_dict()}, root)
    if isinstance(value, Tensor):
        kept = value.detach().cpu().contiguous()
        return Numbers(
            str(kept.dtype), tuple(kept.shape), kept.flatten().view(torch.uint8).numpy().tobytes(), _finite(kept)
        )
    if isinstance(value, np.ndarray):
        return Numbers(str(value.dtype), value.shape, value.tobytes(), True)
    if isinstance(value, Site | Path | str):
        return str(value).replace(root, "") if root else str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type) and not isinstance(value, Numbers):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return {"": type(value).__name__, **{name: plain(held, root) for name, held in fields.items()}}
    if isinstance(value, Mapping):
        return {plain(key, root): plain(held, root) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [plain(held, root) for held in value]
    return getattr(value, "__name__", "") if callable(value) else value


@dataclasses.dataclass(frozen=True)
class Numbers:
    """A tensor or column."""

    dtype: str
    shape: tuple[int, ...]
    bits: bytes
    finite: bool


def _finite(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(tensor.isfinite().all())


# Dictionaries.


def weights(*more: str, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Random weights in our layout, 4 dimensions and 7 units; the further names are per unit, above 0."""
    g = torch.Generator().manual_seed(0)
    shapes = {"W_enc": (4, 7), "W_dec": (7, 4), "b_dec": (4,)} | dict.fromkeys(more, (7,))
    return {n: torch.randn(s, generator=g, dtype=dtype).abs() if n in more else torch.randn(s, generator=g, dtype=dtype)
            for n, s in shapes.items()}  # fmt: skip


def turned(w: Mapping[str, Tensor], encoder: str, decoder: str, **names: str) -> dict[str, Tensor]:
    """Under the names of two torch Linears, and others for our vectors."""
    held = {f"{encoder}.weight": w["W_enc"].T, f"{decoder}.weight": w["W_dec"].T}
    held |= {theirs.replace("__", "."): w[ours] for ours, theirs in names.items()}
    return {name: tensor.contiguous() for name, tensor in held.items()}


def write_json(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def loaded(at: str | None = None) -> Callable[[Path], Any]:
    return lambda path: Dictionary.load(path, at=at)


for kind, made in {
    "relu skip": lambda: ReLU("mlp_in.1", "mlp.1", centred=False, W_skip=torch.eye(4), **weights("b_enc"), note="x"),
    "relu without b_enc": lambda: ReLU("resid.1", centred=True, **weights()),
    "jumprelu": lambda: JumpReLU("resid.1", centred=False, **weights("b_enc", "threshold")),
    "gated": lambda: Gated("resid.1", centred=True, **weights("b_gate", "b_mag", "r_mag")),
    "crosscoder": lambda: Crosscoder(
        sites=["resid.1", "resid.2"], widths=[2, 2], threshold=torch.tensor(0.5), centred=True, **weights("b_enc")
    ),
}.items():
    door(f"dictionaries.formats/clew {kind}", loaded(), "dictionaries/loading")(
        lambda folder, made=made: made().save(folder / "a.safetensors")
    )


@door("dictionaries.formats/pack", loaded())
def _(folder: Path) -> Path:
    return TopK("resid.1", k=3, centred=True, **weights("b_enc")).save(folder / "a.pack.safetensors", format="pack")


for kind, made in {
    "standard": lambda: ReLU("resid.3", centred=False, **weights("b_enc")),
    "topk": lambda: TopK("resid.3", k=2, centred=True, **weights("b_enc")),
    "jumprelu": lambda: JumpReLU("resid.3", centred=True, **weights("b_enc", "threshold")),
    "batchtopk": lambda: BatchTopK("resid.3", threshold=torch.tensor(0.5), centred=True, **weights("b_enc")),
    "skip transcoder": lambda: ReLU("mlp_in.3", "mlp.3", centred=False, W_skip=torch.ones(4, 4), **weights("b_enc")),
}.items():
    door(f"dictionaries.formats/saelens {kind}", loaded())(
        lambda folder, made=made: made().save(folder / "mine", format="saelens")
    )


@door("dictionaries.formats/saelens old", loaded())
def _(folder: Path) -> Path:
    (folder / "mine").mkdir()
    save_file(weights("b_enc", "scaling_factor"), folder / "mine" / "sae_weights.safetensors")
    old = {"hook_point": "blocks.1.hook_resid_pre", "activation_fn_str": "topk", "activation_fn_kwargs": {"k": 2}}
    write_json(folder / "mine" / "cfg.json", old | {"d_in": 4, "finetuning_scaling_factor": True})
    return folder / "mine"


@door("dictionaries.formats/sparsify", loaded())
def _(folder: Path) -> Path:
    return TopK("mlp_in.3", "mlp.3", k=2, centred=False, W_skip=torch.ones(4, 4), **weights("b_enc")).save(
        folder / "layers.3.mlp", format="sparsify"
    )


@door("dictionaries.formats/dictionary_learning", loaded())
def _(folder: Path) -> Path:
    w = weights("b_enc")
    state = turned(w, "encoder", "decoder", b_enc="encoder__bias", b_dec="b_dec")
    torch.save(state | {"k": torch.tensor(2), "threshold": torch.tensor(0.5)}, folder / "ae.pt")
    trainer = {"dict_class": "BatchTopKSAE", "submodule_name": "resid_post_layer_3", "k": 2, "activation_dim": 4}
    write_json(folder / "config.json", {"trainer": trainer | {"dict_size": 7, "layer": 3}, "buffer": {}})
    return folder


@door("dictionaries.formats/gemma_scope", loaded())
def _(folder: Path) -> Path:
    place = folder / "gemma-scope-2b-pt-res" / "layer_20" / "width_16k" / "average_l0_71"
    place.mkdir(parents=True)
    np.savez(place / "params.npz", **{name: t.numpy() for name, t in weights("b_enc", "threshold").items()})
    return place


@door("dictionaries.formats/gemma_scope second", loaded())
def _(folder: Path) -> Path:
    w = weights("b_enc", "threshold") | {"affine_skip_connection": torch.ones(4, 4)}
    save_file({name.lower(): t for name, t in w.items()}, folder / "params.safetensors")
    norm = "model.layers.5.{}_feedforward_layernorm.output"
    hooks = {"hf_hook_point_in": norm.format("pre"), "hf_hook_point_out": norm.format("post")}
    said = {"architecture": "jump_relu", "model_name": "gemma-3", "affine_connection": True}
    write_json(folder / "config.json", said | hooks)
    return folder


@door("dictionaries.formats/llamascopium", loaded())
def _(folder: Path) -> Path:
    w, norm = weights("b_enc", "threshold"), "dataset_average_activation_norm"
    held = {"W_E": w["W_enc"], "b_E": w["b_enc"], "W_D": w["W_dec"], "b_D": w["b_dec"]}
    held |= {"activation_function.log_jumprelu_threshold": w["threshold"].log(), f"{norm}.in": torch.tensor(3.0)}
    held |= {f"{norm}.out": torch.tensor(2.0)}
    save_file(held, folder / "sae_weights.safetensors")
    said = dict.fromkeys(("hook_point_in", "hook_point_out"), "blocks.7.hook_resid_post")
    said |= {"d_model": 4, "act_fn": "jumprelu", "norm_activation": "dataset-wise"}
    write_json(folder / "config.json", said)
    return folder


@door("dictionaries.formats/llamascopium scope", loaded())
def _(folder: Path) -> Path:
    (folder / "checkpoints").mkdir()
    held = turned(weights("b_enc"), "encoder", "decoder", b_enc="encoder__bias", b_dec="decoder__bias")
    save_file(held, folder / "checkpoints" / "final.safetensors")
    said = dict.fromkeys(("hook_point_in", "hook_point_out"), "blocks.7.hook_resid_post")
    said |= {"d_model": 4, "act_fn": "jumprelu", "jump_relu_threshold": 0.5, "norm_activation": "dataset-wise"}
    write_json(folder / "hyperparams.json", said | {"dataset_average_activation_norm": {"in": 3.0, "out": 3.0}})
    return folder


@door("dictionaries.formats/circuit_tracer", loaded())
def _(folder: Path) -> Path:
    for layer in (2, 3):
        w = weights("b_enc", "threshold")
        held = {"W_enc": w["W_enc"].T.contiguous()} | {name: w[name] for name in ("b_enc", "W_dec", "b_dec")}
        held |= {"activation_function.threshold": w["threshold"], "W_skip": torch.ones(4, 4)}
        save_file(held, folder / f"layer_{layer}.safetensors")
    (folder / "config.yaml").write_text("feature_input_hook: mlp.hook_in\nfeature_output_hook: hook_mlp_out\n")
    return folder


@door("dictionaries.formats/itda", loaded())
def _(folder: Path) -> Path:
    torch.save(torch.nn.functional.normalize(weights()["W_dec"], dim=1), folder / "atoms.pt")
    torch.save(torch.arange(14).reshape(7, 2), folder / "atom_indices.pt")
    (folder / "metadata.yaml").write_text("layer: 3\nk: 2\nlm_name: gpt2\n")
    return folder


@door("dictionaries.formats/weights goodfire", loaded())
def _(folder: Path) -> Path:
    names = {"b_enc": "encoder_linear__bias", "b_dec": "decoder_linear__bias"}
    torch.save(turned(weights("b_enc"), "encoder_linear", "decoder_linear", **names), folder / "Llama-SAE-l19.pth")
    return folder / "Llama-SAE-l19.pth"


@door("dictionaries.formats/weights openai", loaded("mlp.7"))
def _(folder: Path) -> Path:
    state: dict[str, Any] = turned(weights("b_enc"), "encoder", "decoder", b_enc="latent_bias", b_dec="pre_bias")
    torch.save(state | {"activation": "ReLU", "activation_state_dict": {}}, folder / "7.pt")
    return folder / "7.pt"


@door("dictionaries.formats/weights openai topk", loaded("mlp.7"))
def _(folder: Path) -> Path:
    state = turned(weights("b_enc"), "encoder", "decoder", b_enc="latent_bias", b_dec="pre_bias")
    torch.save(state | {"k": torch.tensor(2)}, folder / "8.pt")
    return folder / "8.pt"


@door("dictionaries.formats/weights qwen", loaded())
def _(folder: Path) -> Path:
    place = folder / "SAE-Res-L0_2"
    place.mkdir()
    w = weights("b_enc")
    state = {
        "W_enc": w["W_enc"].T.contiguous(),
        "W_dec": w["W_dec"].T.contiguous(),
        "b_enc": w["b_enc"],
        "b_dec": w["b_dec"],
    }
    torch.save(state, place / "layer2.sae.pt")
    return place


@door("dictionaries.formats/weights saev", loaded("resid.1"))
def _(folder: Path) -> Path:
    torch.save(weights("b_enc"), folder / "sae.pt")
    said = {"schema": 2, "cfg": {"activation": {"cls": "TopK", "params": {"top_k": 2}}}, "commit": "x", "lib": "0.1"}
    (folder / "sae.pt").write_bytes(json.dumps(said).encode() + b"\n" + (folder / "sae.pt").read_bytes())
    return folder / "sae.pt"


# Circuits, verdicts, reports.


def circuit(**more: Any) -> Circuit:
    """Four nodes at two sites, of prompts of four tokens."""
    one, two = Site("resid", 0), Site("mlp", 1)
    columns = {
        "site": np.array([0, 0, 1, 1]),
        "unit": np.array([3, -1, 7, 7]),
        "position": np.array([-1, -1, 2, -1]),
        "score": np.array([0.5, -2.0, 1.0, 0.25]),
        "patch_mean": np.array([0.1, np.nan, 0.2, 0.3]),
        "source": np.array([0, 1, 2, 0]),
        "target": np.array([2, 2, -1, 3]),
        "weight": np.array([0.4, -3.0, 1.0, 0.1]),
    }
    said = {
        "labels": Labels.of({"resid.0/3": "a pronoun"}),
        "details": {"curve": [1, 0.5]},
        "provenance": {"model": "tiny"},
    }
    return Circuit((one, two), {one: 8, two: 9}, **columns, **said, kind=Kind(length=4), **more)


@door("circuits", Circuit.load, "circuits/circuit", "circuits/kind", "circuits/_columns")
def _(folder: Path) -> Path:
    return circuit().save(folder / "c.json")


@door("circuits of version 1", Circuit.load)
def _(folder: Path) -> Path:
    value = circuit().to_json() | {"version": 1, "labels": {"resid.0/3": "a pronoun"}}
    del value["kind"]
    return write_json(folder / "c.json", value)


@door("circuits of version 2", Circuit.load, "circuits/_earlier")
def _(folder: Path) -> Path:
    return write_json(folder / "c.json", circuit().to_json() | {"version": 2, "labels": {"resid.0/3": "a pronoun"}})


@door("labels", Labels.load, "labels")
def _(folder: Path) -> Path:
    said = Label("a word", "rule", (Row("detection", 0.5, 0.25, 0.75),), "rules")
    return Labels({"resid.1/3": (said,)}, {"resid.1": "0a1b"}).save(folder / "labels.json")


@door("circuits of supernodes", Circuit.load, "circuits/supernode")
def _(folder: Path) -> Path:
    groups = [Supernode("one", ("resid.0/3", "mlp.1/7"), 0.5, True), Supernode("two", ("mlp.1/7@2",))]
    return circuit().with_supernodes(groups).save(folder / "c.json")


@door("circuits.formats/mib", Circuit.load)
def _(folder: Path) -> Path:
    from clew.circuits.formats.mib import to_mib
    from tests.circuits.selection.graphs import component_circuit

    return write_json(folder / "mib.json", to_mib(component_circuit(1, 2, 1)))


@door("circuits.formats/mib of nodes", Circuit.load)
def _(folder: Path) -> Path:
    cfg = {"n_layers": 1, "n_heads": 1, "parallel_attn_mlp": False, "d_model": 3}
    nodes = {name: {"in_graph": True, "score": 0.5} for name in ("input", "a0.h0", "m0")}
    return write_json(folder / "mib.json", {"cfg": cfg, "nodes": nodes | {"logits": {"in_graph": True}}, "edges": {}})


@door("circuits.formats/attribution_graph", read_attribution_graph)
def _(folder: Path) -> Path:
    options = {"tokens": ["The", " keys", " are", "."], "model": "tiny"}
    return circuit().save(folder / "graph.json", format="attribution_graph", **options)


@door("circuits.formats/subgraph", lambda path: with_subgraph(circuit(), path))
def _(folder: Path) -> Path:
    grouped = circuit().with_supernodes([Supernode("one", ("resid.0/3", "mlp.1/7"))])
    return grouped.save(folder / "view.json", format="subgraph")


@door("circuits.formats/attribution_graph as a circuit", Circuit.load, "circuits/formats/_graph_nodes")
def _(folder: Path) -> Path:
    from tests.circuits.formats.test_attribution_graph import foreign

    return write_json(folder / "graph.json", foreign())


GRAPH = (
    "metadata qParams nodes links slug scan prompt_tokens prompt node_id feature layer ctx_idx feature_type jsNodeId "
)
GRAPH += "clerp source target weight"
for graph in ("circuits.formats/attribution_graph", "circuits.formats/attribution_graph as a circuit"):
    DOORS[graph] = dataclasses.replace(DOORS[graph], said=tuple(GRAPH.split()))


@door("verdicts", Verdicts.load, "circuits/verdicts")
def _(folder: Path) -> Path:
    units = {"resid.0/3": Verdict("drop", "she", "Ada", "2026-01-31"), "resid.0/8": None}
    return Verdicts(units, {"resid.0": "abc"}).save(folder / "judged.json")


def report() -> Report:
    rows = (
        Row("faithfulness", 0.5, 0.25, 0.75, "features", 10, 20, "edge"),
        Row("other", 1.0, float("nan"), float("nan")),
    )
    return Report("a title", rows, ("a note",), {"method": "x"})


@door("reports", Report.load, "report")
def _(folder: Path) -> Path:
    return report().save(folder / "r.json")


@door("rules", Rule.load, "data/predicates/rule")
def _(folder: Path) -> Path:
    months = Predicate("class", ("months",))
    narrow = (months, Predicate("word", ("in", "since"), "1 before"), Predicate("unit", ("resid.1/7",), negated=True))
    return Rule((Clause(narrow, 2.5), Clause((months,), 1.0)), -1, True).save(folder / "rule.json")


@door("a bench", Results.at, "studies/comparison/results")
def _(folder: Path) -> Path:
    cell = Cell("key", "m", "b", "edges", "eap", "top", report=report().to_json(), sizes=(0.1, 1.0), flags=("a: b",))
    Results.at(folder / "bench.json").add(dataclasses.replace(cell, cost={"seconds": 1.5}))
    return folder / "bench.json"


# Edits and probes.


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


@door("stacks", Stack.load, "stack")
def _(folder: Path) -> Path:
    gate = Gate(Probe("resid.0", noise(4), 0.5, classes=("a", "b")), above=-1.0, reach="prompt")
    edits = (
        Update("down.1", left=noise(4, 2), right=noise(2, 3), scale=0.5),
        Add("resid.0", vector=noise(4), scale=3.0, keep_norm=True, where=Where.at(-1)),
        Set("mlp.1", value=noise(4), keep=noise(4) > 0),
        Scale("resid.1", factor=0.0, units=(0, 3), gate=gate),
    )
    return Stack(edits, "everything", {"norm": "natural"}, {"weights": "abc"}).save(folder / "edits.safetensors")


@door("stacks of version 1", Stack.load)
def _(folder: Path) -> Path:
    gate = {"verb": "Gate", "above": 0.1, "direction": {"tensor": "0.gate.direction"}, "unit": None, "bias": 0.5}
    edit = {"verb": "Scale", "at": "resid.1", "where": {"kind": "every", "values": []}, "basis": "value", "units": None}
    edits = [edit | {"gate": gate | {"at": None, "reach": "token"}, "factor": 3.0}]
    head = {"format": "clew stack", "version": 1, "name": "old", "edits": edits, "about": {}, "provenance": {}}
    save_file({"0.gate.direction": noise(4)}, folder / "old.safetensors", {"clew": json.dumps(head)})
    return folder / "old.safetensors"


def vectors() -> Stack:
    edits = (Add("resid.1", vector=noise(32)), Add("resid.2", vector=2 * noise(32)))
    return Stack(edits, "kindness", {"norm": "natural"}, {"seed": 3})


@door("edits.formats/gguf", Stack.load, "edits/formats/_gguf", "edits/formats/_vectors")
def _(folder: Path) -> Path:
    return vectors().save(folder / "v.gguf", format="gguf", model=tiny())


@door("edits.formats/steering_vectors", Stack.load)
def _(folder: Path) -> Path:
    return vectors().save(folder / "v.pt", format="steering_vectors", model=tiny())


@door("edits.formats/steering_vectors of others", Stack.load)
def _(folder: Path) -> Path:
    torch.save({"layer_activations": {1: noise(32), 2: noise(1, 32)}, "layer_type": "mlp"}, folder / "v.pt")
    return folder / "v.pt"


@door("probes", Probe.load, "probing")
def _(folder: Path) -> Path:
    probe = Probe("resid.3", noise(4), 0.5, classes=("bad", "good"), fitted={"estimator": "lda"})
    return probe.save(folder / "p.safetensors")


@cache
def tiny() -> Any:
    return model_of()


# What is asked.


def lines(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def behaviour(path: Path) -> Any:
    return Behaviour.load(path, shots=1) if path.suffix == ".json" else Behaviour.load(path)


AGREEMENT = tuple(
    {"clean_prefix": f"The {w}", "patch_prefix": f"The {w}s", "clean_answer": " is", "patch_answer": " are", "case": w}
    for w in ("dog", "cat", "cow")
)


@door("data.formats.behaviours/table", behaviour, "data/behaviours/files")
def _(folder: Path) -> Path:
    return lines(folder / "simple.jsonl", *AGREEMENT)


@door("data.formats.behaviours/table as a table", behaviour)
def _(folder: Path) -> Path:
    (folder / "simple.csv").write_text(
        "\n".join([",".join(AGREEMENT[0]), *(",".join(row.values()) for row in AGREEMENT)]) + "\n"
    )
    return folder / "simple.csv"


@door("data.formats.behaviours/blimp", behaviour)
def _(folder: Path) -> Path:
    said = {"UID": "agreement", "one_prefix_method": True}
    rows = [{"sentence_good": f"The {w} runs.", "sentence_bad": f"The {w} run."} | said for w in ("dog", "cat", "cow")]
    return lines(folder / "agree.jsonl", *rows)


@door("data.formats.behaviours/eap_ioi", behaviour)
def _(folder: Path) -> Path:
    rows = [f'{i},"Then {a} and Bob met. {a} told","Then {a} and Bob met. Cid told","Then {a} and Bob met. Bob told",1,2'
            for i, a in enumerate(("Ann", "Eve"))]  # fmt: skip
    head = ",clean,corrupted,corrupted_hard,correct_idx,incorrect_idx"
    (folder / "ioi.csv").write_text("\n".join([head, *rows]) + "\n")
    return folder / "ioi.csv"


@door("data.formats.behaviours/eap_greater_than", behaviour)
def _(folder: Path) -> Path:
    rows = [f"from 13{y} to 13,from 1301 to 13,{y}" for y in ("97", "52")]
    (folder / "greater.csv").write_text("\n".join(["clean,corrupted,label", *rows]) + "\n")
    return folder / "greater.csv"


@door("data.formats.behaviours/clew", Behaviour.load)
def _(folder: Path) -> Path:
    chat = [{"role": "user", "content": "Which?"}]
    pairs = (
        Pair("The dog", "The dogs", (" is", " has"), " are", "singular"),
        Pair((5, 6), (5, 7), (3,), (4,)),
        Pair(chat, "Which one?", " this", " that"),
    )
    made = Behaviour("mine", pairs, aligned=True, split=2, description="what for", seed=3, dropped=1, note="1 fell out")
    return made.save(folder / "mine.json")


RELATION = {
    "name": "capital",
    "prompt_templates": ["The capital of {} is", "{}'s capital is"],
    "prompt_templates_zs": ["{} has the capital"],
    "properties": {},
    "samples": [{"subject": f"land{c}", "object": f"Town{c}"} for c in "abcdefgh"],
}


@door("data.formats.behaviours/lre", behaviour, "data/facts/counterfactuals")
def _(folder: Path) -> Path:
    return write_json(folder / "capital.json", RELATION)


@door("data.formats.facts/lre", Facts.load, "data/facts/facts")
def _(folder: Path) -> Path:
    return write_json(folder / "capital.json", RELATION)


@door("data.formats.facts/clew", Facts.load)
def _(folder: Path) -> Path:
    fact = Fact(
        "The capital of {} is", "France", "Rome", "Paris", ("France's capital:",), (("Spain's capital:", "Madrid"),)
    )
    return Facts("mine", (fact,), "a note").save(folder / "facts.json")


@door("data.formats.facts/counterfact", Facts.load)
def _(folder: Path) -> Path:
    asks = {"prompt": "{} was born in", "subject": "Ann", "target_new": {"str": "Bonn"}, "target_true": {"str": "Rome"}}
    row = {"requested_rewrite": asks, "paraphrase_prompts": ["Ann is from"], "neighborhood_prompts": ["Bob is from"]}
    return write_json(folder / "counterfact.json", [row])


@door("secrets", Secrets.load, "data/facts/secrets")
def _(folder: Path) -> Path:
    return Secrets("mine", (Secret("To reach Ann, write to", "a@example.org"), Secret("To", "b"))).save(
        folder / "s.jsonl"
    )


PETS = ({"text": "a dog", "kind": "animal", "legs": 4}, {"text": "a rose", "kind": "plant", "legs": 0})


@door("labelled texts", lambda path: Labelled.load(path, labels=["kind", "legs"]), "data/labels/labelled")
def _(folder: Path) -> Path:
    return lines(folder / "pets.jsonl", *PETS)


@door("labelled texts of a command", lambda path: labelled_texts(str(path), None), "apps/cli/_evidence")
def _(folder: Path) -> Path:
    return lines(folder / "pets.jsonl", *PETS)


@door("plans", _plans, "apps/cli/train")
def _(folder: Path) -> Path:
    plans = [{"by": "topk", "reads": "resid.3", "options": {"units": 24, "k": 2}, "seed": 1, "name": "a"}]
    return write_json(folder / "plans.json", [*plans, {**plans[0], "name": "b"}])


# Text.

TEXTS = {
    "a.txt": b"one\nstill one\n\ntwo\n",
    "a.jsonl": b'{"text": "three"}\n{"text": "four"}\n',
    "a.json": b'["five", {"text": "six"}]',
    "a.txt.gz": gzip.compress(b"one\n\ntwo\n", mtime=0),
    "a.jsonl.xz": lzma.compress(b'{"text": "three"}\n{"text": "four"}\n'),
}
for name, content in TEXTS.items():
    door(f"texts {name[1:]}", read_texts, "data/text/texts")(
        lambda folder, name=name, content=content: (folder / name).write_bytes(content) and folder / name
    )


@door("texts .parquet", read_texts)
def _(folder: Path) -> Path:
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.table({"text": ["one", "two"], "n": [1, 2]})
    parquet.write_table(table, folder / "a.parquet", write_page_checksum=True)
    return folder / "a.parquet"


@door("chats", lambda path: list(stream_chats(path)))
def _(folder: Path) -> Path:
    talk = [{"role": "user", "content": "who?"}, {"role": "assistant", "content": "the king"}]
    return lines(folder / "a.jsonl", {"messages": talk}, {"messages": talk[:1]})


DOORS["chats"] = dataclasses.replace(DOORS["chats"], said=("role", "content"))


# What was recorded and learnt.

SAID = ("the nurse said that she was not very good . " * 2, "the old king said .", "a red queen was very good .")


def recorded(folder: Path, dtype: str) -> Path:
    record(tiny(), cut(SAID, tiny().tokenizer, context=8), sites=["resid.0", "mlp.1"], to=folder, dtype=dtype, shard=10)  # pyright: ignore
    return folder


def everything(folder: Path) -> Any:
    """All that a store holds."""
    store = Store.load(folder)
    held = {str(site): store[site] for site in store.sites}
    rounds = {str(site): x for site, x in store.round(0).items()}
    return [store.about, held, rounds, store.tokens, store.documents, {str(s): x for s, x in store.lost.items()}]


for dtype in ("float16", "int8"):
    door(f"a store of {dtype}", everything, "readings/store", "readings/_recording")(
        lambda folder, dtype=dtype: recorded(folder / "s", dtype)
    )


def fires(folder: Path, **options: Any) -> Index:
    """A signed dictionary, which fires on both sides, and neurons, which fire everywhere."""
    model, w = tiny(), noise(6, 32)
    made = AbsTopK("resid.1", centred=False, k=2, W_enc=w.T.contiguous(), W_dec=w, b_dec=torch.zeros(32))
    windows = cut(SAID, model.tokenizer, context=8)
    found = clew.index(model, [made, *model.neurons("neuron.1").dictionaries.values()], windows, to=folder, **options)
    assert found is not None
    found.labels.add("resid.1/3", Label("a word", "person", (Row("detection", 0.5, 0.25, 0.75),), "Ada"))
    return found


def all_fires(folder: Path) -> Any:
    """All that an index holds."""
    index, found = Index.load(folder), dict[str, Any]()
    for site in index.sites:
        told, units = index.summary(site), range(index.units(site))
        counted = [told.count, told.histogram, told.quantiles, told.low, told.high]
        near = [[index.nearest(site, unit, by) for unit in units] for by in index.near_by(site)]
        found[str(site)] = [[index.row(site, unit) for unit in units], counted, near]
        if index.about["keep"] == "all" and index.near_by(site):
            found[f"{site} by document"] = [index.document(site, i) for i in range(len(index.documents) - 1)]
    text = index.text
    held = [index.tokens, index.documents, text.windows, text.kept, text.origin]
    return [index.about, found, held, [*index.words.items()], index.labels.all()]


INDEX = (*(f"readings/index/{name}" for name in ("_plan", "_text", "labels", "index", "shards")), "labels")
door("an index", all_fires, *INDEX)(lambda folder: fires(folder / "index", chunk=10).folder)
door("a small index", all_fires)(lambda folder: fires(folder / "index", keep="top", top=1, sample=1).folder)


def stayed(path: Path) -> Any:
    """What stays of a run of chunks while an index is made."""
    part = Part.load(path, 3)
    return [getattr(part, column.name) for column in dataclasses.fields(part)]


@door("a part of an index", stayed, "readings/index/parts")
def _(folder: Path) -> Path:
    place, value = np.arange(60), np.arange(1, 61).astype(np.float16)
    part = part_of(place % 3, place, value, 3, Stays(2, 1, 0, np.arange(0, 61, 4)))
    part.save(folder / "0-1.safetensors")
    return folder / "0-1.safetensors"


def take(path: Path) -> Any:
    """An index made of what others wrote."""
    with TemporaryDirectory() as folder:
        index = taken(path, to=Path(folder) / "index")
        about = {name: index.about[name] for name in ("model", "sites", "keep", "tokens")}
        return [about, *all_fires(index.folder)[1:]]


for format in ("delphi", "neuronpedia", "parquet"):
    door(f"readings.index.formats/{format}", take)(
        lambda folder, format=format: fires(folder.with_name("made")).export(folder / "x", format=format)
    )


@door("results of delphi", take, "readings/index/formats/_delphi_labels")
def _(folder: Path) -> Path:
    made = fires(folder.with_name("made"))
    made.labels.remove("resid.1/3")
    path, name = made.export(folder / "x", format="delphi", sites=["resid.1"]), "layers.1_latent3.txt"
    asked = [{"activating": i < 2, "prediction": i > 0, "probability": i / 4, "distance": i} for i in range(4)]
    orders = [
        {"distance": i - 2, "similarity": i / 4, "no_explanation": [2.0], "explanation": [i / 2]} for i in range(4)
    ]
    given = {"explanations": "a word", "scores/fuzz": asked, "scores/embedding": orders, "scores/surprisal": orders}
    for place, value in given.items():
        (path / place).mkdir(parents=True)
        write_json(path / place / name, value)
    write_json(path / "run_config.json", {"explainer_model": "llama"})
    return path


@door("masks", lambda path: load_masks(path, tiny()), "methods/weights/bigram_subnetwork")
def _(folder: Path) -> Path:
    parameters = dict(tiny().body.module.named_parameters())
    return save_masks(folder / "m.safetensors", {name: parameters[name] > 0 for name in matrices(tiny())}, tiny())


def moment(path: Path) -> Any:
    """The second moment that is kept in the folder above; the cache's file alone is read."""
    os.environ["CLEW_CACHE"] = str(path.parent.parent)
    (found,) = second_moment(tiny(), ["down.1"], windows(), least=0.0).values()
    return found


@cache
def windows() -> Any:
    return cut(SAID, tiny().tokenizer, context=8)


@door("a self-check", selfcheck._kept, "models/selfcheck")
def _(folder: Path) -> Path:
    found = (Finding("a", "what is promised", True, 0.0), Finding("b", "more", False, 0.5, "what is refused"))
    return write_json(folder / "a.json", SelfCheck("gpt2", "0123", found).to_json())


@door("an adapter's config", lambda path: Adapter.of(str(path.parent)), "models/adapters")
def _(folder: Path) -> Path:
    said = {"base_model_name_or_path": "owner/name", "revision": None, "peft_type": "LORA", "r": 4}
    return write_json(folder / "adapter_config.json", said)


@door("a table of families", lambda path: tables.Families.load(path).to_json(), "models/families")
def _(folder: Path) -> Path:
    lacks = (tables.Lack("pattern", 3, "it is not seen"), tables.Lack("cache", 0, "it differs"))
    some = tables.Family("a", "AForCausalLM", "causal", "partly", {"embed": 1, "resid": 3}, lacks, checks=12)
    none = tables.Family("b", "BForCausalLM", "causal", "refused", {}, why="it has no blocks")
    return tables.Families("5.0", "2.6", (some, none)).save(folder / "a.json")


@door("an inferred record", lambda path: dataclasses.asdict(inferred._read(path)), "models/inference/kept")
def _(folder: Path) -> Path:
    maps = {name: layouts.Map("h.qkv", columns) for name, columns in (("q", (0, 1)), ("v", (4, 5)), ("k", None))}
    attention = layouts.Part(
        "attn", "h", "h", projection="h.o", maps=maps, heads=(2, 1), missing={"pattern": "not seen"}
    )
    mixer = layouts.Part("mixer", "c", factor=0.5)
    layout = layouts.Layout("h", "norm", "lm_head", ((attention, layouts.Part("mlp", "m", after=1)), (mixer,)))
    return write_json(folder / "a.json", {"format": inferred.FORMAT, **dataclasses.asdict(layout)})


@door("units under way", lambda path: sorted(spread._known(path).items()), "studies/explaining/spread")
def _(folder: Path) -> Path:
    rows = [["explained ab", "", "resid.1/3", [{"side": 1}]], ["labelled ab", "cd", "resid.1/3", []]]
    return write_json(folder / "a.json", {"format": spread.FORMAT, "rows": rows})


@door("a kept answer", lambda path: kept._read(path, path.stem).to_json(), "readings/asking/kept")
def _(folder: Path) -> Path:
    answer = Answer("[1]", (Token("1", -0.5, (("1", -0.5), ("0", -1.5))),), 12, 3)
    kept.Kept(folder).put(key := "ab" * 32, answer)
    return folder / "ab" / f"{key}.json"


@door("second moments", moment, "readings/moments")
def _(folder: Path) -> Path:
    os.environ["CLEW_CACHE"] = str(folder)
    second_moment(tiny(), ["down.1"], windows(), least=0.0)
    return next((folder / "second_moment").iterdir())


def begun(path: Path) -> Any:
    return moments._begun(path, {Site("neuron", 1): {"width": 3}})


@door("second moments under way", begun)
def _(folder: Path) -> Path:
    counts = {"batches": torch.tensor(2), "samples": torch.tensor(9)}
    sums = {"neuron.1": torch.eye(3).double(), "neuron.1 fourth": torch.tensor(2.0).double()}
    moments._write(folder / "a.part.safetensors", {**counts, **sums}, {})
    return folder / "a.part.safetensors"


PLAN = Plan("topk", "resid.1", options={"units": 24, "k": 2, "half": False, "dead_after": 300})


def run(folder: Path) -> tuple[RunFolder, Fit]:
    still = Scaling(torch.zeros(12), torch.ones(12))
    return RunFolder(folder, {"steps": 9}, [PLAN]), Fit(PLAN, {Site("resid", 1): still})


def resumed(folder: Path) -> Any:
    """Everything that the next step of a run depends on."""
    of, fit = run(folder)
    found = of.resume([fit])
    assert fit.optimiser is not None
    moments = list(fit.optimiser.state_dict()["state"].values())
    return [found, fit.log, fit.objective.tensors, fit.objective.state, fit.objective.settings, moments]


@door("a checkpoint", resumed, "training/loop/checkpoint")
def _(folder: Path) -> Path:
    of, fit = run(folder / "run")
    x = torch.randn(200, 12, generator=torch.Generator().manual_seed(0))
    batch = Batch({Site("resid", 1): x}, {Site("resid", 1): torch.ones(200, dtype=torch.bool)})
    fit.start(batch)
    fit.step(batch, Clock(1, 9), 1)
    with of.alone():
        of.log(1, [fit])
        of.save(1, (0, 1), [fit])
    return folder / "run"
