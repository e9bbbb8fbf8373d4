import json

import pytest
import torch

from clew.dictionaries import Dictionary


def published(folder, state, dict_class=None, **trainer):
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(state, folder / "ae.pt")
    if dict_class:
        config = {"trainer": {"dict_class": dict_class, **trainer}, "buffer": {}}
        (folder / "config.json").write_text(json.dumps(config))
    return folder


def linear(w, **names):
    """The state dict of two torch Linear layers, and our further tensors under their names."""
    matrices = {"encoder.weight": w["W_enc"].T, "decoder.weight": w["W_dec"].T}
    return matrices | {names[name].replace("__", "."): t for name, t in w.items() if name in names}


AT = {"submodule_name": "resid_post_layer_3", "layer": 3}


@pytest.mark.parametrize(
    ("dict_class", "bias", "centred"), [("AutoEncoder", "bias", True), ("AutoEncoderNew", "decoder__bias", False)]
)
def test_the_two_autoencoders_differ_in_centring(tmp_path, weights, x, dict_class, bias, centred):
    w = weights("b_enc")
    state = linear(w, b_enc="encoder__bias", b_dec=bias)
    f = ((x - w["b_dec"] * centred) @ w["W_enc"] + w["b_enc"]).relu()
    for name in (dict_class, None):  # the class is known from the names too
        (made,) = Dictionary.load(published(tmp_path / str(name), state, name), at="resid.3")
        torch.testing.assert_close(made.encode(x), f)
        torch.testing.assert_close(made.reconstruct(x), f @ w["W_dec"] + w["b_dec"])


def test_gated(tmp_path, weights, x):
    w = weights("b_gate", "b_mag", "r_mag")
    state = linear(w, b_gate="gate_bias", b_mag="mag_bias", r_mag="r_mag", b_dec="decoder_bias")
    (made,) = Dictionary.load(published(tmp_path, state, "GatedAutoEncoder", **AT))
    z = (x - w["b_dec"]) @ w["W_enc"]
    f = (z + w["b_gate"] > 0) * (z * w["r_mag"].exp() + w["b_mag"]).relu()
    torch.testing.assert_close(made.encode(x), f)
    assert str(made.reads) == "resid.3" and made.meta["config"]["trainer"]["layer"] == 3


def topk_state(w, threshold):
    more = {"k": torch.tensor(2), "threshold": torch.tensor(threshold)}
    return linear(w, b_enc="encoder__bias", b_dec="b_dec") | more


def test_topk_and_batchtopk_differ_though_their_tensors_do_not(tmp_path, weights, x):
    w = weights("b_enc")
    p = ((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"]).relu()
    folder = published(tmp_path, topk_state(w, 0.75), "AutoEncoderTopK", **AT)
    kept = torch.zeros_like(p).scatter(1, p.topk(2).indices, 1)
    torch.testing.assert_close(Dictionary.load(folder)[0].encode(x), kept * p)
    published(tmp_path, topk_state(w, 0.75), "BatchTopKSAE", **AT)
    torch.testing.assert_close(Dictionary.load(folder)[0].encode(x), p * (p > 0.75))
    (folder / "config.json").unlink()
    with pytest.raises(ValueError, match="may be AutoEncoderTopK or BatchTopKSAE, whose codes differ; put a config"):
        Dictionary.load(folder, at="resid.3")


def test_a_threshold_that_was_never_set_is_refused(tmp_path, weights):
    with pytest.raises(ValueError, match=r"threshold is -1\.0, which means not set yet"):
        Dictionary.load(published(tmp_path, topk_state(weights("b_enc"), -1.0), "BatchTopKSAE", **AT))


def test_matryoshka_and_jumprelu_are_laid_out_as_ours(tmp_path, weights, x):
    w = weights("b_enc", "threshold")
    p = x @ w["W_enc"] + w["b_enc"]
    (made,) = Dictionary.load(published(tmp_path / "j", w), at="resid.3")
    torch.testing.assert_close(made.encode(x), p.relu() * (p > w["threshold"]))
    w |= {"threshold": torch.tensor(0.5), "k": torch.tensor(2), "group_sizes": torch.tensor([3, 4])}
    (made,) = Dictionary.load(published(tmp_path / "m", w), at="resid.3")
    p = ((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"]).relu()
    torch.testing.assert_close(made.encode(x), p * (p > 0.5))


def test_the_site_comes_from_the_config_or_a_folder_but_not_from_the_layer_alone(tmp_path, weights):
    state = linear(weights("b_enc"), b_enc="encoder__bias", b_dec="bias")
    published(tmp_path / "mlp_out_layer2" / "10_32768", state, "AutoEncoder", layer=2)
    published(tmp_path / "embed" / "10_32768", state)
    assert [str(d.reads) for d in Dictionary.load(tmp_path)] == ["embed", "mlp.2"]
    with pytest.raises(ValueError, match=r"pass at='resid\.3'"):
        Dictionary.load(published(tmp_path / "trainer_0", state, "AutoEncoder", layer=2))


def test_a_checkpoint_takes_the_config_one_folder_up(tmp_path, weights):
    published(tmp_path, topk_state(weights("b_enc"), 0.75), "BatchTopKSAE", **AT)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "ae.pt").rename(tmp_path / "checkpoints" / "ae_1000.pt")
    assert Dictionary.load(tmp_path / "checkpoints" / "ae_1000.pt")[0].kind == "batchtopk"


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (torch.nn.Linear(4, 7), r"ae\.pt holds Python objects .* refused"),
        (["a", "list"], r"ae\.pt must hold a dict of tensors, not list"),
        ({"encoder.weight": torch.zeros(7, 4)}, r"the tensors of ae\.pt \(encoder\.weight\) are of no class we know"),
    ],
)
def test_other_pt_files_are_refused(tmp_path, state, message):
    with pytest.raises(ValueError, match=message):
        Dictionary.load(published(tmp_path, state), at="resid.3")


def test_spoilt_folders(tmp_path, weights):
    w = weights("b_enc")
    state = linear(w, b_enc="encoder__bias", b_dec="bias")
    with pytest.raises(ValueError, match="dict_class 'CrossCoder' cannot be read"):
        Dictionary.load(published(tmp_path, state, "CrossCoder"))
    with pytest.raises(ValueError, match=r"ae\.pt has no 'decoder\.bias'; it holds bias"):
        Dictionary.load(published(tmp_path, state, "AutoEncoderNew"))
    with pytest.raises(ValueError, match=r"b_enc .* has shape \(3,\).* must be \(7,\)"):
        Dictionary.load(published(tmp_path, state | {"encoder.bias": torch.zeros(3)}, "AutoEncoder", **AT))
    with pytest.raises(ValueError, match=r"4 of the 4 values of bias in ae\.pt are not finite"):
        Dictionary.load(published(tmp_path, state | {"bias": torch.full((4,), torch.inf)}, "AutoEncoder", **AT))
    file = tmp_path / "ae.pt"
    file.write_bytes(file.read_bytes()[:600])
    with pytest.raises(ValueError, match=r"ae\.pt is not a whole torch file .* 600 bytes"):
        Dictionary.load(tmp_path)


@pytest.mark.parametrize(
    ("more", "trainer", "said"),
    [
        ({"extra": torch.zeros(1)}, {}, r"ae\.pt also holds extra"),
        ({"k": torch.tensor(2.5)}, {}, r"k in ae\.pt is .*; a whole number is due"),
        ({}, {"k": 3}, r"ae\.pt says k = 2, and config\.json k = 3"),
        ({}, {"dict_size": 9}, r"config\.json says dict_size = 9, and the tensors 7"),
        ({}, {"submodule_name": 3}, r"submodule_name is 3; text is due"),
        (
            {"encoder.bias": torch.zeros(7, dtype=torch.int64)},
            {},
            r"encoder\.bias in ae\.pt is of torch\.int64; floats are due",
        ),
        ({"encoder.bias": torch.zeros(0)}, {}, r"encoder\.bias in ae\.pt is empty"),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path, weights, more, trainer, said):
    state = topk_state(weights("b_enc"), 0.75) | more
    with pytest.raises(ValueError, match=said):
        Dictionary.load(published(tmp_path, state, "AutoEncoderTopK", **{**AT, **trainer}))
