import json
from math import sqrt

import pytest
import torch
from safetensors.torch import save_file

from clew.dictionaries import Dictionary, JumpReLU, ReLU, TopK

NORM = "dataset_average_activation_norm"


def linear(w):
    turned = {"encoder.weight": w["W_enc"].T, "decoder.weight": w["W_dec"].T}
    return turned | {"encoder.bias": w["b_enc"], "decoder.bias": w["b_dec"]}


def new(w):
    return {"W_E": w["W_enc"], "b_E": w["b_enc"], "W_D": w["W_dec"], "b_D": w["b_dec"]}


def folder(path, tensors, file="sae_weights.safetensors", config="config.json", **settings):
    hooks = dict.fromkeys(("hook_point_in", "hook_point_out"), "blocks.7.hook_resid_post")
    (path / file).parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: t.contiguous() for name, t in tensors.items()}
    if file.endswith(".pt"):
        torch.save({"sae": tensors, "version": "2.0"}, path / file)
    else:
        save_file(tensors, path / file)
    (path / config).write_text(json.dumps(hooks | {"d_model": 4, "act_fn": "jumprelu"} | settings))
    return path


def scope(path, w, **settings):
    settings = {"jump_relu_threshold": 0.5, NORM: {"in": 3.0, "out": 3.0}, "norm_activation": "dataset-wise"} | settings
    return folder(path, linear(w), "checkpoints/final.safetensors", "hyperparams.json", **settings)


def test_llama_scope_scales_its_input_and_its_one_threshold(tmp_path, weights, x):
    w, s = weights("b_enc"), sqrt(4) / 3
    w["W_dec"] = torch.nn.functional.normalize(w["W_dec"], dim=1)  # as published
    (made,) = Dictionary.load(scope(tmp_path, w, sparsity_include_decoder_norm=True))
    p = s * x @ w["W_enc"] + w["b_enc"]
    f = p.relu() * (p > 0.5 * s)
    assert isinstance(made, JumpReLU) and str(made.reads) == "resid.7"
    torch.testing.assert_close(made.encode(x), f)
    torch.testing.assert_close(made.reconstruct(x), (f @ w["W_dec"] + w["b_dec"]) / s)


def test_r1_distill_keeps_its_norm_among_the_weights_and_a_threshold_per_unit(tmp_path, weights, x):
    w = weights("b_enc", "log_jumprelu_threshold")
    held = linear(w) | {"log_jumprelu_threshold": w["log_jumprelu_threshold"], f"{NORM}.in": torch.tensor(5.0)}
    (made,) = Dictionary.load(folder(tmp_path, held | {f"{NORM}.out": torch.tensor(5.0)}, expansion_factor=8))
    s, length = sqrt(4) / 5, w["W_dec"].norm(dim=1)
    p = s * x @ w["W_enc"] + w["b_enc"]
    torch.testing.assert_close(made.encode(x), p * (p * length > w["log_jumprelu_threshold"].exp()))


def test_a_new_transcoder_scales_both_ends(tmp_path, weights, x):
    hooks = {"hook_point_in": "blocks.2.mlp.hook_in", "hook_point_out": "blocks.2.hook_mlp_out"}
    norms = {
        f"{NORM}.{hooks['hook_point_in']}": torch.tensor(3.0),
        f"{NORM}.{hooks['hook_point_out']}": torch.tensor(8.0),
    }
    w = weights("b_enc")
    settings = {"sae_type": "sae", "act_fn": "relu", "norm_activation": "dataset-wise", **hooks}
    (made,) = Dictionary.load(folder(tmp_path, new(w) | norms, **settings))
    f = (x * 2 / 3 @ w["W_enc"] + w["b_enc"]).relu()
    assert isinstance(made, ReLU) and (str(made.reads), str(made.writes)) == ("mlp_in.2", "mlp.2")
    torch.testing.assert_close(made.reconstruct(x), (f @ w["W_dec"] + w["b_dec"]) * 8 / 2)


def test_topk_ranks_by_decoder_norm(tmp_path, weights, x):
    w, file = weights("b_enc"), "sae_weights.pt"
    settings = {"act_fn": "topk", "top_k": 2, "norm_activation": "inference", "sparsity_include_decoder_norm": True}
    (made,) = Dictionary.load(folder(tmp_path, new(w), file, **settings))
    p = x @ w["W_enc"] + w["b_enc"]
    score = (p * w["W_dec"].norm(dim=1)).relu()
    kept = torch.zeros_like(p).scatter(1, score.topk(2).indices, 1) * p.relu()
    assert isinstance(made, TopK)
    torch.testing.assert_close(made.reconstruct(x), kept @ w["W_dec"] + w["b_dec"])


def test_a_decoder_bias_may_be_missing_or_taken_off_first(tmp_path, weights, x):
    w, plain = weights("b_enc"), {"act_fn": "relu", "norm_activation": "inference"}
    bare = {name: t for name, t in new(w).items() if name != "b_D"}
    (made,) = Dictionary.load(folder(tmp_path / "a", bare, use_decoder_bias=False, **plain))
    assert not made.b_dec.any()
    (made,) = Dictionary.load(folder(tmp_path / "b", new(w), apply_decoder_bias_to_pre_encoder=True, **plain))
    torch.testing.assert_close(made.encode(x), ((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"]).relu())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sae_type": "crosscoder"}, "sae_type 'crosscoder' cannot be read"),
        ({"sae_type": "clt"}, "sae_type 'clt' cannot be read"),
        ({"sae_type": "lorsa"}, "sae_type 'lorsa' cannot be read"),
        ({"sae_type": "molt"}, "sae_type 'molt' cannot be read"),
        ({"use_glu_encoder": True}, "gate of its own"),
        ({"norm_activation": "token-wise"}, "norm_activation 'token-wise' cannot be read"),
        ({"norm_activation": "dataset-wise"}, "no dataset_average_activation_norm says by which number"),
        ({"act_fn": "batchtopk", "norm_activation": "inference"}, "act_fn 'batchtopk' cannot be read"),
        ({"norm_activation": "inference"}, "has no 'log_jumprelu_threshold'"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(tmp_path, weights, settings, message):
    with pytest.raises(ValueError, match=message):
        Dictionary.load(folder(tmp_path, new(weights("b_enc")), **settings))


def test_a_distributed_checkpoint_is_refused(tmp_path, weights):
    folder(tmp_path, new(weights("b_enc")), norm_activation="inference")
    (tmp_path / "sae_weights.safetensors").unlink()
    (tmp_path / "sae_weights.dcp").mkdir()
    with pytest.raises(ValueError, match=r"a \.dcp folder must be saved again"):
        Dictionary.load(tmp_path)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({NORM: {"in": "3", "out": 3.0}}, rf"{NORM}.in is '3'; a finite number is due"),
        ({NORM: {"in": -3.0, "out": 3.0}}, rf"{NORM}.in is -3.0; it is at least"),
        ({NORM: {"in": 0.0, "out": 3.0}}, rf"{NORM}.in is 0.0; it is at least"),
        ({"jump_relu_threshold": [0.5]}, r"jump_relu_threshold is \[0.5\]; a finite number is due"),
        ({"sparsity_include_decoder_norm": 1}, "sparsity_include_decoder_norm is 1; true or false is due"),
        ({"d_model": 5}, r"hyperparams\.json says d_model = 5, and the tensors 4"),
        ({"hook_point_out": None}, "hook_point_out is None; text is due"),
    ],
)
def test_settings_are_typed_and_in_range(tmp_path, weights, settings, said):
    with pytest.raises(ValueError, match=said):
        Dictionary.load(scope(tmp_path, weights("b_enc"), **settings))


def test_numbers_that_are_none_are_refused_wherever_they_come_from(tmp_path, weights):
    w = weights("b_enc", "log_jumprelu_threshold")
    held = new(w) | {"log_jumprelu_threshold": w["log_jumprelu_threshold"]}
    norms = {f"{NORM}.in": torch.tensor(float("nan")), f"{NORM}.out": torch.tensor(5.0)}
    with pytest.raises(ValueError, match=rf"{NORM}.in is nan; a finite number is due"):
        Dictionary.load(folder(tmp_path / "a", held | norms))
    held["log_jumprelu_threshold"] = torch.full((7,), 1e5, dtype=torch.float64)  # whose exponential is none
    with pytest.raises(ValueError, match="7 of the 7 values of threshold in .* are not finite"):
        Dictionary.load(folder(tmp_path / "b", held, norm_activation="inference"))
    text = (scope(tmp_path / "c", w) / "hyperparams.json").read_text().replace("0.5", "NaN")
    (tmp_path / "c" / "hyperparams.json").write_text(text)
    with pytest.raises(ValueError, match=r"hyperparams\.json is not JSON \(NaN is no number"):
        Dictionary.load(tmp_path / "c")


def test_tensors_that_we_do_not_know_are_not_dropped(tmp_path, weights):
    with pytest.raises(ValueError, match=r"sae_weights\.safetensors also holds W_E_glu"):
        held = new(weights("b_enc")) | {"W_E_glu": torch.ones(4, 7)}
        Dictionary.load(folder(tmp_path, held, act_fn="relu", norm_activation="inference"))
