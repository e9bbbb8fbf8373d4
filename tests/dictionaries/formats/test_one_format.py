"""A sample of every format, laid out as its publisher does: one format must match it, and no other."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from clew.dictionaries import ReLU
from clew.dictionaries.loading import FORMATS
from clew.finder import files


def write(path: Path) -> Path:
    """A file whose name decides what kind it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        save_file({"t": torch.zeros(1)}, path)
    elif path.suffix in (".pt", ".pth"):
        torch.save({"t": torch.zeros(1)}, path)
    elif path.suffix == ".npz":
        np.savez(path, t=np.zeros(1))
    else:
        path.write_text(json.dumps({"trainer": {}} if path.parent.name == "trainer_0" else {}))
    return path


SAMPLES = {
    "saelens": ["cfg.json", "sae_weights.safetensors", "sparsity.safetensors"],
    "saelens without config": ["sae_weights.safetensors"],
    "dictionary_learning": ["ae.pt", "config.json"],
    "sparsify": ["layers.3/cfg.json", "layers.3/sae.safetensors"],
    "gemma_scope": ["layer_20/width_16k/average_l0_71/params.npz"],
    "gemma_scope second": ["layer_12_width_16k/config.json", "layer_12_width_16k/params.safetensors"],
    "llamascopium": ["config.json", "sae_weights.safetensors"],
    "llamascopium torch": ["config.json", "sae_weights.pt"],
    "llamascopium scope": ["hyperparams.json", "checkpoints/final.safetensors"],
    "itda": ["atoms.pt", "atom_indices.pt", "metadata.yaml"],
    "circuit_tracer": ["layer_0.safetensors", "layer_1.safetensors", "config.yaml", "wandb-config.yaml"],
    "circuit_tracer pairs": ["W_enc_0.safetensors", "W_dec_0.safetensors", "config.yaml"],
    "weights goodfire": ["Llama-3.3-70B-Instruct-SAE-l50.pt", "README.md"],
    "weights deepseek": ["DeepSeek-R1-Distill-Llama-8B-SAE-l19.pt"],
    "weights qwen": ["layer0.sae.pt", "layer1.sae.pt", "config.json"],
    "weights saev": ["sae.pt"],
}

FILES = {
    "dictionary_learning": "ae.pt",
    "dictionary_learning checkpoint": "checkpoints/ae_1000.pt",
    "gemma_scope": "params.npz",
    "weights goodfire": "Llama-3.1-8B-Instruct-SAE-l19.pth",
    "weights qwen": "layer3.sae.pt",
    "weights openai": "autoencoders/8.pt",
    "circuit_tracer": "layer_12.safetensors",
    "circuit_tracer pair": "W_enc_3.safetensors",
    "clew of someone else": "model.safetensors",
}


def matching(path: Path) -> list[str]:
    return [name for name, module in files(FORMATS) if module.matches(path)]


@pytest.mark.parametrize("case", SAMPLES)
def test_a_published_folder_is_of_one_format(tmp_path, case):
    files = [write(tmp_path / name) for name in SAMPLES[case]]
    folders = {file.parent for file in files if file.parent.name != "checkpoints"}
    assert [matching(folder) for folder in folders] == [[case.split()[0]]]


@pytest.mark.parametrize("case", FILES)
def test_a_lone_file_is_of_one_format(tmp_path, case):
    assert matching(write(tmp_path / FILES[case])) == [case.split()[0]]


def test_a_checkpoint_beside_a_trainers_config_is_dictionary_learning(tmp_path):
    write(tmp_path / "trainer_0" / "config.json")
    assert matching(write(tmp_path / "trainer_0" / "step_100.pt")) == ["dictionary_learning"]


@pytest.mark.parametrize(
    ("format", "name", "whole"),
    [
        ("clew", "resid.3.safetensors", False),
        ("clew", "layer_3.safetensors", False),
        ("pack", "resid.3.pack.safetensors", False),
        ("pack", "layer_3.pack.safetensors", False),
        ("saelens", "layers.3", True),
    ],
)
def test_what_we_write_is_of_one_format(tmp_path, weights, format, name, whole):
    ReLU("resid.3", centred=True, **weights("b_enc")).save(tmp_path / name, format=format)
    assert matching(tmp_path / name) == [format]
    assert whole or matching(tmp_path) == [format]


def test_every_format_has_a_sample():
    seen = {case.split()[0] for case in (*SAMPLES, *FILES)} | {"clew", "pack"}
    assert seen == {name for name, _ in files(FORMATS)}
