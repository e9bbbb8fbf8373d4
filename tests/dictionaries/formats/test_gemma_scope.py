import json
import warnings

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
    with pytest.raises(ValueError, match=r"params\.npz has no 'threshold'; it holds W_dec, W_enc, b_dec, b_enc"):
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


@pytest.mark.parametrize(
    ("folders", "sites"),
    [
        ("gemma-scope-2b-pt-res/layer_20/width_16k/average_l0_71", ("resid.20", "resid.20")),
        ("gemma-scope-9b-it-res/layer_9/width_16k/average_l0_88", ("resid.9", "resid.9")),
        ("models--google--gemma-scope-2b-pt-att/snapshots/abc/layer_3/width_16k/average_l0_71", ("head.3", "head.3")),
        ("gemma-scope-2b-pt-mlp/layer_0/width_16k/average_l0_71", ("mlp.0", "mlp.0")),
        ("gemma-scope-2b-pt-transcoders/layer_5/width_16k/average_l0_71", ("mlp_in.5", "mlp.5")),
        ("gemma-scope-2b-pt-res/embedding/width_4k/average_l0_6", ("embed", "embed")),
    ],
)
def test_the_first_series_says_its_site_in_its_path(tmp_path, weights, folders, sites):
    (tmp_path / folders).mkdir(parents=True)
    arrays = {name: t.numpy() for name, t in weights("b_enc", "threshold").items()}
    np.savez(tmp_path / folders / "params.npz", **arrays)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the gain at the input of a transcoder
        for path in (tmp_path / folders, tmp_path / folders / "params.npz"):
            (made,) = Dictionary.load(path)
            assert (str(made.reads), str(made.writes)) == sites
        if sites[0] == sites[1]:
            assert str(Dictionary.load(tmp_path / folders, at="attn.1")[0].writes) == "attn.1"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.pop("hf_hook_point_out"), r"config\.json has no 'hf_hook_point_out'"),
        (lambda c: c.update(affine_connection=False), r"config\.json says affine_connection = False"),
        (lambda c: c.update(hf_hook_point_out=3), r"hf_hook_point_out is 3; text is due"),
        (lambda c: c.update(architecture=None), r"architecture is None; text is due"),
    ],
)
def test_a_transcoder_that_has_lost_a_hook_or_its_skip_is_no_autoencoder(tmp_path, weights, change, said):
    w = weights("b_enc", "threshold") | {"W_skip": torch.ones(4, 4)}
    norm = "model.layers.5.{}_feedforward_layernorm.output"
    config = {
        "hf_hook_point_in": norm.format("pre"),
        "hf_hook_point_out": norm.format("post"),
        "affine_connection": True,
    }
    folder = second(tmp_path, w, **config)
    change(held := json.loads((folder / "config.json").read_text()))
    (folder / "config.json").write_text(json.dumps(held))
    with pytest.raises(ValueError, match=said):
        Dictionary.load(folder)


def test_one_name_in_both_cases_is_two_tensors(tmp_path, weights):
    arrays = {name: t.numpy() for name, t in weights("b_enc", "threshold").items()}
    np.savez(tmp_path / "params.npz", **arrays, w_enc=arrays["W_enc"] * 2)
    with pytest.raises(ValueError, match=r"params\.npz names a tensor twice"):
        Dictionary.load(tmp_path, at="resid.1")
