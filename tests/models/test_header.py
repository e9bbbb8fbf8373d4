"""GGUF files that lack what decides, or hold what transformers passes over: each refused by the name of the key."""

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import pytest

from clew.models import open_model
from clew.models.header import check_header
from tests.models.tiny import WORDS

gguf = pytest.importorskip("gguf")
pytest.importorskip("accelerate")
WIDTH, HIDDEN, HEADS, SHARED, SIZE, BLOCKS = 32, 48, 4, 2, 8, 2
TOKENS = ["<unk>", "<s>", "</s>", "t", "h", "th", *WORDS]
NUMBERS = {
    "context_length": 64,
    "embedding_length": WIDTH,
    "block_count": BLOCKS,
    "feed_forward_length": HIDDEN,
    "attention.head_count": HEADS,
    "attention.head_count_kv": SHARED,
    "rope.dimension_count": SIZE,
    "rope.freq_base": 5000.0,
    "attention.layer_norm_rms_epsilon": 1e-5,
}
DUE = [f"llama.{key}" for key in NUMBERS if key != "rope.dimension_count"]
DUE += [f"tokenizer.ggml.{key}" for key in ("model", "tokens", "merges")]


def shapes() -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {"token_embd.weight": (len(TOKENS), WIDTH), "output_norm.weight": (WIDTH,)}
    for i in range(BLOCKS):
        of = {
            "attn_q": HEADS * SIZE,
            "attn_k": SHARED * SIZE,
            "attn_v": SHARED * SIZE,
            "ffn_gate": HIDDEN,
            "ffn_up": HIDDEN,
        }
        found |= {f"blk.{i}.{name}.weight": (rows, WIDTH) for name, rows in of.items()}
        found |= {f"blk.{i}.attn_output.weight": (WIDTH, HEADS * SIZE), f"blk.{i}.ffn_down.weight": (WIDTH, HIDDEN)}
        found |= {f"blk.{i}.{name}.weight": (WIDTH,) for name in ("attn_norm", "ffn_norm")}
    return found


def written(
    path: Path,
    without: Collection[str] = (),
    also: Mapping[str, object] = {},
    tensors: Mapping[str, tuple[int, ...]] = {},
    architecture: str = "llama",
) -> Path:
    """A tiny Llama, without some keys and tensors, and with others."""
    writer, random = gguf.GGUFWriter(str(path), architecture), np.random.default_rng(0)
    keys: dict[str, object] = {f"{architecture}.{key}": value for key, value in NUMBERS.items()}
    keys |= {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.tokens": TOKENS, "tokenizer.ggml.merges": ["t h"]}
    keys |= {"tokenizer.ggml.token_type": [1] * len(TOKENS), "tokenizer.ggml.eos_token_id": 2} | dict(also)
    add = {int: writer.add_uint32, float: writer.add_float32, str: writer.add_string, list: writer.add_array}
    for key, value in keys.items():
        if key not in without:
            add[type(value)](key, value)
    for name, shape in (shapes() | tensors).items():
        if name not in without:
            writer.add_tensor(name, (random.standard_normal(shape) * 0.2).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    if "general.architecture" in without:
        path.write_bytes(path.read_bytes().replace(b"general.architecture", b"general.architectura"))
    return path


@pytest.fixture(autouse=True)
def apart(tmp_path, monkeypatch):
    """A cache of its own."""
    monkeypatch.setenv("CLEW_CACHE", str(tmp_path / "cache"))


def test_a_whole_file_opens_as_what_it_says(tmp_path):
    path = written(tmp_path / "a.gguf", also={"llama.rope.scaling.type": "none"})
    assert check_header(path) == sum(int(np.prod(shape)) for shape in shapes().values())
    model = open_model(path)
    config = model.body.module.config
    assert model.body.refused == {} and (model.body.n_heads, model.body.n_kv_heads) == (HEADS, SHARED)
    assert config.rope_parameters["rope_theta"] == 5000 and model.body.context == 64
    assert model.tokens("th")[0].tolist() == [[TOKENS.index("th")]]


@pytest.mark.parametrize("key", ["general.architecture", *DUE])
def test_a_key_that_is_missing_is_named(tmp_path, key):
    with pytest.raises(ValueError, match=f"a.gguf does not say its '{key}'"):
        check_header(written(tmp_path / "a.gguf", without=[key]))


def test_what_the_tensors_say_may_be_missing(tmp_path):
    wide = {f"blk.{i}.attn_{name}.weight": (HEADS * SIZE, WIDTH) for i in range(BLOCKS) for name in "kv"}
    left = ["llama.attention.head_count_kv", "llama.rope.dimension_count"]
    model = open_model(written(tmp_path / "a.gguf", without=left, tensors=wide))
    assert model.body.n_kv_heads == HEADS and model.body.refused == {}


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"also": {"llama.rope.scaling.type": "linear"}}, "llama.rope.scaling.type"),
        ({"also": {"llama.rope.scaling.type": "yarn", "llama.rope.scaling.factor": 4.0}}, "llama.rope.scaling"),
        ({"also": {"llama.residual_scale": 0.5}}, "llama.residual_scale"),
        ({"also": {"llama.attn_logit_softcapping": 50.0}}, "llama.attn_logit_softcapping"),
        ({"tensors": {"rope_freqs.weight": (4,)}}, "rope_freqs.weight"),
    ],
)
def test_what_changes_the_computation_and_is_not_read_is_named(tmp_path, how, said):
    with pytest.raises(ValueError, match=f"holds '{said}.*which changes what the model computes"):
        check_header(written(tmp_path / "a.gguf", **how))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (
            {"tensors": {"blk.1.attn_k.weight": (24, WIDTH)}},
            r"holds '.*1.self_attn.k_proj.weight' as \[24, 32\], .* \[16, 32\]",
        ),
        ({"tensors": {"blk.1.ffn_down.weight": (WIDTH, 40)}}, "down_proj.weight' as"),
        (
            {"without": ["blk.1.ffn_down.weight"]},
            "lacks 1 tensors that its metadata ask for, first '.*1.mlp.down_proj.weight'",
        ),
        ({"tensors": {"blk.1.attn_q.bias": (WIDTH,)}}, "would pass over the rest"),
        ({"tensors": {"blk.2.attn_q.weight": (WIDTH, WIDTH)}}, "would pass over the rest"),
        ({"architecture": "llamba"}, "no GGUF file of the architecture 'llamba'; did you mean 'llama'"),
    ],
)
def test_tensors_that_are_not_those_of_the_metadata_are_refused(tmp_path, how, words):
    with pytest.raises(ValueError, match=words):
        open_model(written(tmp_path / "a.gguf", **how))


@pytest.mark.parametrize("share", [0.0, 0.001, 0.02, 0.5, 0.999])
def test_a_file_that_is_cut_is_refused_by_its_name(tmp_path, share):
    path = written(tmp_path / "a.gguf")
    whole = path.read_bytes()
    path.write_bytes(b"GGUF" + whole[4 : 4 + int(share * len(whole))])
    with pytest.raises(ValueError, match=r"a\.gguf"):
        open_model(path)
