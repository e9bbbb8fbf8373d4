import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from clew.dictionaries import Dictionary
from clew.sites import Site


def jump(p, threshold):
    return p.relu() * (p > threshold)


@pytest.mark.parametrize("case", [str, str.lower])
def test_the_first_series_is_not_centred(tmp_path, weights, x, case):
    w = weights("b_enc", "threshold")
    np.savez(tmp_path / "params.npz", **{case(name): t.numpy() for name, t in w.items()})
    (made,) = Dictionary.load(tmp_path, at="resid.20")
    f = jump(x @ w["W_enc"] + w["b_enc"], w["threshold"])
    torch.testing.assert_close(made.encode(x), f)
    torch.testing.assert_close(made.reconstruct(x), f @ w["W_dec"] + w["b_dec"])
    assert Dictionary.load(tmp_path / "params.npz", at="mlp_in.2 -> mlp.2")[0].spans_sites


def test_the_embedding_is_read_before_its_scale(tmp_path, weights, x):
    w = weights("b_enc", "threshold")
    np.savez(tmp_path / "params.npz", **{name: t.numpy() for name, t in w.items()})
    (made,) = Dictionary.load(tmp_path, at="embed")
    f = jump(x @ w["W_enc"] + w["b_enc"], w["threshold"])
    torch.testing.assert_close(made.encode(2 * x), f)  # d = 4, so what enters the first block is twice the embedding
    torch.testing.assert_close(made.reconstruct(2 * x), 2 * (f @ w["W_dec"] + w["b_dec"]))


def second(folder, w, **config):
    names = {"W_skip": "affine_skip_connection"}
    save_file({names.get(n, n.lower()): t for n, t in w.items()}, folder / "params.safetensors")
    (folder / "config.json").write_text(json.dumps({"architecture": "jump_relu", "model_name": "gemma-3"} | config))
    return folder


def test_the_second_series_says_its_hooks(tmp_path, weights, x):
    w = weights("b_enc", "threshold") | {"W_skip": torch.randn(4, 4, dtype=torch.float64)}
    norm = "model.layers.5.{}_feedforward_layernorm.output"
    hooks = {"hf_hook_point_in": norm.format("pre"), "hf_hook_point_out": norm.format("post")}
    (made,) = Dictionary.load(second(tmp_path, w, **hooks))
    assert (made.reads, made.writes) == (Site("mlp_in", 5), Site("mlp", 5))
    f = jump(x @ w["W_enc"] + w["b_enc"], w["threshold"])
    torch.testing.assert_close(made.reconstruct(x), f @ w["W_dec"] + w["b_dec"] + x @ w["W_skip"])


def test_an_autoencoder_that_names_its_hook_twice_is_no_transcoder(tmp_path, weights):
    hooks = dict.fromkeys(("hf_hook_point_in", "hf_hook_point_out"), "model.layers.5.output")
    folder = second(tmp_path, weights("b_enc", "threshold"), **hooks)
    assert not Dictionary.load(folder)[0].spans_sites
    assert str(Dictionary.load(folder, at="resid.6")[0].writes) == "resid.6"


@pytest.mark.parametrize(
    ("folder", "sites"),
    [
        ("resid_post_all/layer_12_width_16k_l0_small", ("resid.12", "resid.12")),
        ("attn_out/layer_7_width_16k_l0_big", ("head.7", "head.7")),
        ("mlp_out/layer_7_width_16k_l0_big", ("mlp.7", "mlp.7")),
        ("transcoder_all/layer_7_width_16k_l0_big_affine", ("mlp_in.7", "mlp.7")),
    ],
)
def test_without_a_config_the_second_series_says_its_hooks_in_its_folders(tmp_path, weights, folder, sites):
    (tmp_path / folder).mkdir(parents=True)
    (second(tmp_path / folder, weights("b_enc", "threshold")) / "config.json").unlink()
    (made,) = Dictionary.load(tmp_path / folder)
    assert (str(made.reads), str(made.writes)) == sites


def test_a_cross_layer_transcoder_is_refused(tmp_path, weights):
    w = weights("b_enc", "threshold")
    w["W_dec"] = w["W_dec"][:, None].expand(7, 3, 4).contiguous()
    with pytest.raises(ValueError, match=r"w_dec in params\.safetensors has shape \(7, 3, 4\): it writes many layers"):
        Dictionary.load(second(tmp_path, w), at="mlp_in.5 -> mlp.5")


def test_spoilt_archives(tmp_path, weights):
    arrays = {name: t.numpy() for name, t in weights("b_enc").items()}
    path = tmp_path / "params.npz"
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=r"params\.npz has no 'threshold'; it holds b_dec"):
        Dictionary.load(path, at="resid.1")
    np.savez(path, **arrays, threshold=np.ones(7))
    with pytest.raises(ValueError, match=r"it names no hook\); pass at='resid\.3'"):
        Dictionary.load(path)
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(ValueError, match=r"params\.npz is not a whole archive of numbers"):
        Dictionary.load(path, at="resid.1")
    np.savez(path, **arrays, threshold=np.array([print], dtype=object))
    with pytest.raises(ValueError, match="Object arrays cannot be loaded"):
        Dictionary.load(path, at="resid.1")
