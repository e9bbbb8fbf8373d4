import warnings

import pytest
import torch
from safetensors.torch import save_file

from clew.dictionaries import Dictionary, JumpReLU, ReLU


def layer(folder, number, w, **more):
    folder.mkdir(parents=True, exist_ok=True)
    held = {"W_enc": w["W_enc"].T, "b_enc": w["b_enc"], "W_dec": w["W_dec"], "b_dec": w["b_dec"]} | more
    save_file({name: t.contiguous() for name, t in held.items()}, folder / f"layer_{number}.safetensors")
    return folder


def test_a_set_is_one_transcoder_per_layer(tmp_path, weights, x):
    first, second = weights("b_enc"), weights("b_enc", seed=1)
    found = Dictionary.load(layer(layer(tmp_path, 10, second), 2, first))
    assert [(str(d.reads), str(d.writes)) for d in found] == [("mlp_in.2", "mlp.2"), ("mlp_in.10", "mlp.10")]
    for made, w in zip(found, (first, second), strict=True):
        f = (x @ w["W_enc"] + w["b_enc"]).relu()
        assert isinstance(made, ReLU)
        torch.testing.assert_close(made.reconstruct(x), f @ w["W_dec"] + w["b_dec"])


def test_a_skip_is_turned_and_a_threshold_makes_it_jumprelu(tmp_path, weights, x):
    w = weights("b_enc", "threshold")
    skip = torch.arange(16.0, dtype=torch.float64).reshape(4, 4)
    layer(tmp_path, 3, w, W_skip=skip, **{"activation_function.threshold": w["threshold"].abs()})
    (made,) = Dictionary.load(tmp_path / "layer_3.safetensors")
    p = x @ w["W_enc"] + w["b_enc"]
    f = p * (p > w["threshold"].abs())
    assert isinstance(made, JumpReLU)
    torch.testing.assert_close(made.reconstruct(x), f @ w["W_dec"] + w["b_dec"] + x @ skip.T)


def test_a_layer_alone_that_lost_its_thresholds_is_no_relu_transcoder(tmp_path, weights):
    layer(tmp_path, 3, weights("b_enc"))
    with pytest.raises(ValueError, match=r"layer_3\.safetensors stands alone .* 'activation: relu' in config\.yaml"):
        Dictionary.load(tmp_path)
    (tmp_path / "config.yaml").write_text("activation: relu\n")
    assert isinstance(Dictionary.load(tmp_path)[0], ReLU)
    (tmp_path / "config.yaml").write_text("activation: jump_relu\n")
    with pytest.raises(ValueError, match=r"says jump_relu, and layer_3\.safetensors holds W_dec, W_enc, b_dec, b_enc"):
        Dictionary.load(tmp_path)
    (tmp_path / "config.yaml").write_text("activation: topk\n")
    with pytest.raises(ValueError, match="activation in config.yaml 'topk' cannot be read"):
        Dictionary.load(tmp_path)


def test_one_layer_of_a_set_that_lost_its_thresholds_is_seen(tmp_path, weights):
    w = weights("b_enc", "threshold")
    layer(layer(tmp_path, 0, w), 1, w, **{"activation_function.threshold": w["threshold"].abs()})
    for path in (tmp_path, tmp_path / "layer_0.safetensors"):
        with pytest.raises(ValueError, match=r"layer_[01]\.safetensors of one set hold other tensors: .*threshold"):
            Dictionary.load(path)


def test_config_yaml_names_the_hooks(tmp_path, weights):
    text = 'activation: relu\nmodel_name: "Qwen/Qwen3-4B"  # base\nfeature_input_hook: "{}"\n'
    text += "feature_output_hook: mlp.hook_out\ntranscoders:\n- a\n"
    layer(tmp_path, 0, weights("b_enc"))
    (tmp_path / "config.yaml").write_text(text.format("mlp.hook_in"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (made,) = Dictionary.load(tmp_path)
        assert made.meta["config"]["model_name"] == "Qwen/Qwen3-4B" and "transcoders" not in made.meta["config"]
        (tmp_path / "config.yaml").write_text(text.format("hook_resid_mid"))
        with pytest.raises(ValueError, match=r"'blocks\.0\.hook_resid_mid', the stream between .* no site") as caught:
            Dictionary.load(tmp_path)
        assert "pass at" not in str(caught.value)
        (tmp_path / "config.yaml").write_text("activation: relu\nfeature_input_hook: mlp.hook_in\n")
        with pytest.raises(ValueError, match=r"config\.yaml has no 'feature_output_hook'"):
            Dictionary.load(tmp_path)
        (tmp_path / "config.yaml").write_text("activation: relu\nfeature_inptu_hook: a\n")
        with pytest.raises(ValueError, match=r"config\.yaml has 'feature_inptu_hook' and no 'feature_input_hook'"):
            Dictionary.load(tmp_path)


def pair(folder, number, w, outputs):
    held = {f"W_enc_{number}": w["W_enc"].T, f"b_enc_{number}": w["b_enc"], f"b_dec_{number}": w["b_dec"]}
    save_file({name: t.contiguous() for name, t in held.items()}, folder / f"W_enc_{number}.safetensors")
    decoder = w["W_dec"][:, None].expand(-1, outputs, -1)
    save_file({f"W_dec_{number}": decoder.contiguous()}, folder / f"W_dec_{number}.safetensors")


def test_a_cross_layer_transcoder_is_refused_even_where_a_layer_writes_itself_alone(tmp_path, weights):
    w = weights("b_enc")
    pair(tmp_path, 0, w, 2)
    pair(tmp_path, 1, w, 1)
    with pytest.raises(
        ValueError, match=r"W_dec of W_enc_0\.safetensors has shape \(7, 2, 4\).* cross-layer transcoder"
    ):
        Dictionary.load(tmp_path)
    with pytest.raises(ValueError, match="cross-layer transcoder"):
        Dictionary.load(tmp_path / "W_enc_1.safetensors")
    (tmp_path / "W_dec_0.safetensors").unlink()
    with pytest.raises(ValueError, match=r"no W_dec_0\.safetensors beside it"):
        Dictionary.load(tmp_path)


def test_one_of_gemma_scope_2_is_refused_too(tmp_path, weights):
    w = weights("b_enc", "threshold")
    held = {name.lower(): t for name, t in w.items()} | {"w_dec": w["W_dec"][:, None].expand(7, 3, 4).contiguous()}
    save_file(held, tmp_path / "layer_0.safetensors")
    with pytest.raises(ValueError, match=r"w_dec of layer_0\.safetensors .* cross-layer transcoder"):
        Dictionary.load(tmp_path)


def test_tensors_we_do_not_know_are_not_dropped(tmp_path, weights):
    layer(tmp_path, 0, weights("b_enc"), b_gate=torch.zeros(7))
    with pytest.raises(ValueError, match=r"layer_0\.safetensors also holds b_gate"):
        Dictionary.load(tmp_path)


def test_a_file_of_ours_may_have_such_a_name(tmp_path, weights):
    ReLU("resid.3", centred=True, **weights("b_enc")).save(tmp_path / "layer_3.safetensors")
    assert str(Dictionary.load(tmp_path)[0].reads) == "resid.3"
