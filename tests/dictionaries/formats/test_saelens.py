import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from clew.dictionaries import AbsTopK, BatchTopK, Dictionary, Gated, Identity, JumpReLU, ReLU, TopK
from clew.sites import Site


def published(folder, tensors, hook="blocks.3.hook_resid_post", **config):
    """A folder as SAELens 6 leaves it."""
    metadata = {"sae_lens_version": "6.20.0", "model_name": "gpt2", "hook_name": hook, "hook_head_index": None}
    base = {"architecture": "standard", "apply_b_dec_to_input": True, "normalize_activations": "none"}
    folder.mkdir(parents=True, exist_ok=True)
    metadata |= config.pop("metadata", {})
    (folder / "cfg.json").write_text(json.dumps(base | config | {"metadata": metadata}))
    save_file({n: t.contiguous() for n, t in tensors.items()}, folder / "sae_weights.safetensors")
    return folder


def opened(*args, at=None, **config):
    (made,) = Dictionary.load(published(*args, **config), at=at)
    return made


def test_standard_with_and_without_centring(tmp_path, weights, x):
    w = weights("b_enc")
    made = opened(tmp_path, w)
    assert isinstance(made, ReLU) and made.reads == Site("resid", 3)
    torch.testing.assert_close(made.encode(x), ((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"]).relu())
    made = opened(tmp_path, w, apply_b_dec_to_input=False, hook="blocks.0.hook_resid_pre")
    assert made.reads == Site("embed")
    torch.testing.assert_close(made.encode(x), (x @ w["W_enc"] + w["b_enc"]).relu())
    assert made.meta["config"]["metadata"]["model_name"] == "gpt2"


def test_gated(tmp_path, weights, x):
    w = weights("b_gate", "b_mag", "r_mag")
    c = x - w["b_dec"]
    on = (c @ w["W_enc"] + w["b_gate"] > 0).double()
    f = on * (c @ (w["W_enc"] * w["r_mag"].exp()) + w["b_mag"]).relu()
    torch.testing.assert_close(opened(tmp_path, w, architecture="gated").encode(x), f)


def test_jumprelu_also_with_the_old_log_threshold(tmp_path, weights, x):
    w = weights("b_enc", "threshold")
    w["threshold"] = w["threshold"].abs()
    p = x @ w["W_enc"] + w["b_enc"]
    f = p.relu() * (p > w["threshold"])
    cfg = {"architecture": "jumprelu", "apply_b_dec_to_input": False}
    assert torch.equal(opened(tmp_path, w, **cfg).encode(x), f)
    w["log_threshold"] = w.pop("threshold").log()
    torch.testing.assert_close(opened(tmp_path, w, **cfg).encode(x), f)


def test_topk_ranks_by_decoder_norm_when_told_to(tmp_path, weights, x):
    w = weights("b_enc")
    norm = w["W_dec"].norm(dim=1)
    p = ((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"]) * norm
    kept = torch.zeros_like(p).scatter(1, p.topk(2).indices, 1)
    made = opened(tmp_path, w, architecture="topk", k=2, rescale_acts_by_decoder_norm=True)
    torch.testing.assert_close(made.encode(x), kept * p.relu())
    torch.testing.assert_close(made.reconstruct(x), (kept * p.relu() / norm) @ w["W_dec"] + w["b_dec"])


def test_abstopk_keeps_signs_and_ranks_sizes(tmp_path, weights, x):
    w = weights("b_enc")
    norm = w["W_dec"].norm(dim=1)
    p = ((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"]) * norm
    kept = torch.zeros_like(p).scatter(1, p.abs().topk(2).indices, 1)
    made = opened(tmp_path, w, architecture="abstopk", k=2, rescale_acts_by_decoder_norm=True)
    torch.testing.assert_close(made.encode(x), kept * p)
    assert (made.encode(x) < 0).any()


def test_batchtopk_in_training_has_one_threshold(tmp_path, weights, x):
    w = weights("b_enc")
    p = ((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"]).relu()
    held = w | {"topk_threshold": torch.tensor(0.8, dtype=torch.float64)}
    made = opened(tmp_path, held, architecture="matryoshka_batchtopk")
    assert isinstance(made, BatchTopK)
    assert torch.equal(made.encode(x), p * (p > 0.8))


def test_a_saved_scale_is_folded(tmp_path, weights, x):
    w = weights("b_enc")
    folder = published(tmp_path, w, normalize_activations="expected_average_only_in")
    with pytest.raises(ValueError, match=r"normalised by 'expected_average_only_in', and no activation_scaler\.json"):
        Dictionary.load(folder)
    (folder / "activation_scaler.json").write_text('{"scaling_factor": 3.0, "has_whitening": false}')
    f = ((3 * x - w["b_dec"]) @ w["W_enc"] + w["b_enc"]).relu()
    (made,) = Dictionary.load(folder)
    torch.testing.assert_close(made.encode(x), f)
    torch.testing.assert_close(made.reconstruct(x), (f @ w["W_dec"] + w["b_dec"]) / 3)


def test_a_batchtopk_threshold_follows_the_folds(tmp_path, weights, x):
    w = weights("b_enc") | {"topk_threshold": torch.tensor(1.5, dtype=torch.float64)}
    cfg = {"architecture": "batchtopk", "normalize_activations": "expected_average_only_in"}
    folder = published(tmp_path, w, rescale_acts_by_decoder_norm=True, **cfg)
    (folder / "activation_scaler.json").write_text('{"scaling_factor": 3.0}')
    norm = w["W_dec"].norm(dim=1)
    p = (((3 * x - w["b_dec"]) @ w["W_enc"] + w["b_enc"]) * norm).relu()
    y = (p * (p > 1.5) / norm) @ w["W_dec"] + w["b_dec"]
    torch.testing.assert_close(Dictionary.load(folder)[0].reconstruct(x), y / 3)


def test_a_skip_transcoder_reads_one_site_and_writes_another(tmp_path, weights, x):
    w = weights("b_enc") | {"W_skip": torch.randn(4, 4, dtype=torch.float64)}
    hooks = {"hook": "blocks.2.hook_mlp_in", "metadata": {"hook_name_out": "blocks.2.hook_mlp_out"}}
    made = opened(tmp_path, w, at="mlp_in.2 -> mlp.2", architecture="skip_transcoder", **hooks)
    assert (made.reads, made.writes) == (Site("mlp_in", 2), Site("mlp", 2))
    f = (x @ w["W_enc"] + w["b_enc"]).relu()
    torch.testing.assert_close(made.reconstruct(x), f @ w["W_dec"] + w["b_dec"] + x @ w["W_skip"].T)
    with pytest.raises(ValueError, match=r"in no dialect we know\); pass at='mlp_in\.3 -> mlp\.3'"):
        Dictionary.load(tmp_path)


def test_a_jumprelu_transcoder_finds_both_hooks(tmp_path, weights):
    w = weights("b_enc", "threshold")
    hooks = {"hook": "blocks.2.ln2.hook_normalized", "metadata": {"hook_name_out": "blocks.2.hook_mlp_out"}}
    with pytest.warns(UserWarning, match="gain"):
        made = opened(tmp_path, w, architecture="jumprelu_transcoder", **hooks)
    assert isinstance(made, JumpReLU)
    assert (str(made.reads), str(made.writes), made.centred) == ("mlp_in.2", "mlp.2", False)


def test_a_flat_config_of_old_versions(tmp_path, weights, x):
    w = weights("b_enc") | {"scaling_factor": torch.full((7,), 2.0, dtype=torch.float64)}
    save_file(w, tmp_path / "sae_weights.safetensors")
    old = {"hook_point": "blocks.1.hook_resid_pre", "activation_fn_str": "topk", "normalize_activations": False}
    (tmp_path / "cfg.json").write_text(json.dumps(old | {"activation_fn_kwargs": {"k": 2}, "d_in": 4}))
    (made,) = Dictionary.load(tmp_path)
    assert isinstance(made, TopK) and (made.k, made.reads, made.centred) == (2, Site("resid", 0), True)
    torch.testing.assert_close(made.decode(made.encode(x)), 2 * made.encode(x) @ w["W_dec"] + w["b_dec"])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"architecture": "abtopk"}, "architecture 'abtopk' cannot be read; did you mean 'abstopk'"),
        ({"architecture": "temporal"}, "architecture 'temporal' cannot be read"),
        (
            {"normalize_activations": "layer_norm"},
            "normalised by 'layer_norm', each by its own size, which is not linear",
        ),
        ({"normalize_activations": "by_mood"}, "normalize_activations 'by_mood' cannot be read"),
        (
            {"hook": "blocks.3.hook_resid_mid"},
            "trained at 'blocks.3.hook_resid_mid', the stream between attention and MLP",
        ),
        ({"architecture": "topk", "k": 2.5}, r"cfg\.json: k is 2\.5; a whole number is due"),
        ({"architecture": "topk", "k": True}, r"cfg\.json: k is True; a whole number is due"),
        ({"apply_b_dec_to_input": "false"}, r"cfg\.json: apply_b_dec_to_input is 'false'; true or false is due"),
        ({"d_in": 5}, r"cfg\.json says d_in = 5, and the tensors 4"),
        ({"d_sae": 8}, r"cfg\.json says d_sae = 8, and the tensors 7"),
        ({"activation_fn": "tanh-relu"}, "activation function 'tanh-relu' cannot be read"),
        ({"metadata": {"hook_head_index": 2}}, "attention head 2 alone"),
        ({"hook": None}, r"it names no hook\); pass at='resid\.3'"),
        ({"architecture": "topk"}, r"cfg\.json has no 'k'"),
        ({"architecture": "jumprelu"}, r"sae_weights\.safetensors has no 'threshold'; it holds W_dec, W_enc"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(tmp_path, weights, config, message):
    published(tmp_path, weights("b_enc"), **config)
    with pytest.raises(ValueError, match=message) as caught:
        Dictionary.load(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_spoilt_folders(tmp_path, weights):
    w = weights("b_enc")
    with pytest.raises(ValueError, match=r"W_dec .* has shape \(4, 7\)"):
        opened(tmp_path, w | {"W_dec": w["W_dec"].T})
    w["W_enc"][0, 0] = torch.nan
    with pytest.raises(ValueError, match="1 of the 28 values of W_enc"):
        opened(tmp_path, w)
    file = tmp_path / "sae_weights.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"sae_weights\.safetensors is not a whole safetensors file"):
        Dictionary.load(tmp_path)
    (tmp_path / "cfg.json").write_text("{")
    with pytest.raises(ValueError, match=r"cfg\.json is not JSON"):
        Dictionary.load(tmp_path)
    (tmp_path / "cfg.json").unlink()
    with pytest.raises(ValueError, match=r"no cfg\.json beside it"):
        Dictionary.load(tmp_path)


def writable(weights):
    w = weights("b_enc")
    yield ReLU("resid.3", centred=True, **w)
    yield ReLU("embed", centred=False, **weights())
    yield TopK("mlp.3", k=2, centred=True, **w)
    yield JumpReLU("head.3", threshold=w["b_enc"].abs(), centred=False, **w)
    yield Gated("attn.3", centred=True, **weights("b_gate", "b_mag", "r_mag"))
    yield BatchTopK("neuron.3", threshold=torch.tensor(0.5).double(), centred=True, **w)
    yield AbsTopK("resid.3", k=2, centred=False, **w)
    skip = {"W_skip": torch.arange(16.0, dtype=torch.float64).reshape(4, 4), "centred": False}
    yield ReLU("mlp_in.3", "mlp.3", centred=False, **w)
    yield ReLU("mlp_in.3", "mlp.3", **skip, **w)
    yield JumpReLU("mlp_in.3", "mlp.3", threshold=w["b_enc"].abs(), centred=False, **w)
    yield JumpReLU("mlp_in.3", "mlp.3", threshold=w["b_enc"].abs(), **skip, **w)


@pytest.mark.parametrize("i", range(11))
def test_what_is_written_gives_the_same_codes(tmp_path, weights, x, i):
    made = list(writable(weights))[i]
    made.save(tmp_path / "out", format="saelens")
    (back,) = Dictionary.load(tmp_path / "out")
    assert (back.reads, back.writes) == (made.reads, made.writes)
    assert torch.equal(back.encode(x), made.encode(x)) and torch.equal(back.reconstruct(x), made.reconstruct(x))


def test_batchtopk_is_written_as_jumprelu(tmp_path, weights):
    list(writable(weights))[5].save(tmp_path, format="saelens")
    config = json.loads((tmp_path / "cfg.json").read_text())
    assert (config["architecture"], config["metadata"]["hook_name"]) == ("jumprelu", "blocks.3.mlp.hook_post")
    assert load_file(tmp_path / "sae_weights.safetensors")["threshold"].tolist() == [0.5] * 7


@pytest.mark.parametrize("i", range(7, 11))
def test_a_transcoder_names_both_hooks_and_turns_its_skip(tmp_path, weights, i):
    made = list(writable(weights))[i]
    made.save(tmp_path, format="saelens")
    config = json.loads((tmp_path / "cfg.json").read_text())
    kinds = ["transcoder", "skip_transcoder", "jumprelu_transcoder", "jumprelu_skip_transcoder"]
    assert (config["architecture"], config["d_out"], config["apply_b_dec_to_input"]) == (kinds[i - 7], 4, False)
    assert config["metadata"]["hook_name"] == "blocks.3.mlp.hook_in"
    assert config["metadata"]["hook_name_out"] == "blocks.3.hook_mlp_out"
    held = load_file(tmp_path / "sae_weights.safetensors")
    assert "W_skip" not in held or torch.equal(held["W_skip"], made.W_skip.T)


def test_a_transcoder_that_centres_is_written_with_another_bias(tmp_path, weights, x):
    made = ReLU("mlp_in.3", "mlp.3", centred=True, **weights("b_enc"))
    made.save(tmp_path, format="saelens")
    (back,) = Dictionary.load(tmp_path)
    assert not back.centred
    torch.testing.assert_close(back.encode(x), made.encode(x))


def test_a_matryoshka_checkpoint_is_written_as_jumprelu_that_says_so(tmp_path, weights, x):
    held = weights("b_enc") | {"topk_threshold": torch.tensor(0.8, dtype=torch.float64)}
    made = opened(tmp_path / "in", held, architecture="matryoshka_batchtopk")
    made.save(tmp_path / "out", format="saelens")
    config = json.loads((tmp_path / "out" / "cfg.json").read_text())
    assert config["architecture"] == "jumprelu"
    assert config["metadata"]["training_architecture"] == "matryoshka_batchtopk"
    assert torch.equal(Dictionary.load(tmp_path / "out")[0].encode(x), made.encode(x))


def test_metadata_of_a_published_dictionary_is_kept(tmp_path, weights):
    made = opened(tmp_path / "in", weights("b_enc"), metadata={"context_size": 128})
    made.save(tmp_path / "out", format="saelens")
    metadata = json.loads((tmp_path / "out" / "cfg.json").read_text())["metadata"]
    assert (metadata["model_name"], metadata["context_size"]) == ("gpt2", 128)


def test_what_saelens_does_not_have_is_refused(tmp_path, weights):
    w = weights("b_enc")
    with pytest.raises(ValueError, match=r"topk dictionary that reads mlp_in\.1 and writes mlp\.1"):
        TopK("mlp_in.1", "mlp.1", k=2, centred=False, **w).save(tmp_path, format="saelens")
    with pytest.raises(ValueError, match="identity dictionary"):
        Identity("resid.0", 4).save(tmp_path, format="saelens")
    with pytest.raises(ValueError, match=r"no hook for attn_in\.1"):
        ReLU("attn_in.1", centred=False, **w).save(tmp_path, format="saelens")
    with pytest.raises(ValueError, match="no skip connection"):
        ReLU("mlp.1", centred=False, W_skip=torch.eye(4), **w).save(tmp_path, format="saelens")
    assert list(tmp_path.iterdir()) == []


def test_advice_that_would_be_wrong_is_not_given(tmp_path, weights):
    for config in ({"normalize_activations": "layer_norm"}, {"hook": "blocks.3.hook_resid_mid"}):
        published(tmp_path, weights("b_enc"), **config)
        with pytest.raises(ValueError) as caught:
            Dictionary.load(tmp_path)
        assert not any(advice in str(caught.value) for advice in ("pass at", "fold_activation_norm", "save it again"))


def test_a_jumprelu_that_has_lost_its_architecture_is_no_relu(tmp_path, weights):
    w = weights("b_enc", "threshold")
    published(tmp_path, w, architecture="jumprelu")
    config = json.loads((tmp_path / "cfg.json").read_text())
    for lost in ("architecture", "apply_b_dec_to_input", "normalize_activations"):
        (tmp_path / "cfg.json").write_text(json.dumps({name: told for name, told in config.items() if name != lost}))
        with pytest.raises(
            ValueError, match=rf"sae_weights\.safetensors also holds threshold|cfg\.json has no '{lost}'"
        ):
            Dictionary.load(tmp_path)
    del config["architecture"], config["metadata"]
    (tmp_path / "cfg.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"sae_weights\.safetensors also holds threshold"):
        Dictionary.load(tmp_path, at="resid.3")


def test_a_misprint_in_a_config_is_not_passed_over(tmp_path, weights):
    old = {"hook_point": "blocks.1.hook_resid_pre", "aply_b_dec_to_input": False}
    save_file(weights("b_enc"), tmp_path / "sae_weights.safetensors")
    (tmp_path / "cfg.json").write_text(json.dumps(old))
    with pytest.raises(ValueError, match=r"cfg\.json has 'aply_b_dec_to_input' and no 'apply_b_dec_to_input'"):
        Dictionary.load(tmp_path)


def test_integer_and_complex_biases_are_refused(tmp_path, weights):
    for odd in (torch.ones(7, dtype=torch.int32), torch.ones(7, dtype=torch.complex64)):
        with pytest.raises(ValueError, match=rf"b_enc in sae_weights\.safetensors is of {odd.dtype}; floats are due"):
            opened(tmp_path, weights() | {"b_enc": odd})
