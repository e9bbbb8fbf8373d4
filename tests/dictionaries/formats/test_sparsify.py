import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from clew.dictionaries import AbsTopK, Dictionary, ReLU, TopK


def published(folder, w, **config):
    folder.mkdir(parents=True)
    tensors = {"encoder.weight": w["W_enc"].T, "encoder.bias": w["b_enc"], "W_dec": w["W_dec"], "b_dec": w["b_dec"]}
    tensors |= {"W_skip": w["W_skip"]} if "W_skip" in w else {}
    save_file({n: t.contiguous() for n, t in tensors.items()}, folder / "sae.safetensors")
    base = {"activation": "topk", "k": 2, "num_latents": 0, "expansion_factor": 32, "transcode": False, "d_in": 4}
    (folder / "cfg.json").write_text(json.dumps(base | config))
    return folder


def top(p, k):
    return torch.zeros_like(p).scatter(1, p.topk(k).indices, 1) * p


def test_an_autoencoder_is_centred(tmp_path, weights, x):
    w = weights("b_enc")
    (made,) = Dictionary.load(published(tmp_path / "layers.10", w))
    assert str(made.reads) == str(made.writes) == "resid.10"
    f = top(((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"]).relu(), 2)
    torch.testing.assert_close(made.encode(x), f)
    torch.testing.assert_close(made.reconstruct(x), f @ w["W_dec"] + w["b_dec"])


def test_a_skip_transcoder_is_not_centred(tmp_path, weights, x):
    w = weights("b_enc") | {"W_skip": torch.randn(4, 4, dtype=torch.float64)}
    (made,) = Dictionary.load(published(tmp_path / "layers.3.mlp", w, transcode=True, skip_connection=True))
    assert (str(made.reads), str(made.writes)) == ("mlp_in.3", "mlp.3")
    f = top((x @ w["W_enc"] + w["b_enc"]).relu(), 2)
    torch.testing.assert_close(made.reconstruct(x), f @ w["W_dec"] + w["b_dec"] + x @ w["W_skip"].T)


def test_a_transcoder_of_a_whole_block_reads_what_enters_it(tmp_path, weights):
    (made,) = Dictionary.load(published(tmp_path / "layers.3", weights("b_enc"), transcode=True))
    assert (str(made.reads), str(made.writes)) == ("resid.2", "resid.3")


def test_a_run_with_two_modules_and_a_seed_folder(tmp_path, weights):
    published(tmp_path / "layers.10" / "seed0", weights("b_enc"))
    published(tmp_path / "layers.9.mlp" / "seed0", weights("b_enc"))
    assert [str(d.reads) for d in Dictionary.load(tmp_path)] == ["mlp.9", "resid.10"]


def test_other_folder_names_need_a_site(tmp_path, weights):
    folder = published(tmp_path / "mine", weights("b_enc"))
    with pytest.raises(ValueError, match=r"pass at='resid\.3'"):
        Dictionary.load(folder)
    assert str(Dictionary.load(folder, at="mlp.1")[0].reads) == "mlp.1"


def test_groupmax_and_missing_tensors_are_refused(tmp_path, weights):
    with pytest.raises(ValueError, match="activation 'groupmax' cannot be read"):
        Dictionary.load(published(tmp_path / "layers.1", weights("b_enc"), activation="groupmax"))
    folder = published(tmp_path / "layers.2", weights("b_enc"), skip_connection=True)
    with pytest.raises(ValueError, match=r"sae\.safetensors has no 'W_skip'"):
        Dictionary.load(folder)
    (folder / "cfg.json").unlink()
    with pytest.raises(ValueError, match=r"no cfg\.json beside it"):
        Dictionary.load(folder)


@pytest.mark.parametrize(
    ("folder", "reads", "writes", "centred"),
    [
        ("layers.10", "resid.10", "resid.10", True),
        ("layers.10", "resid.10", "resid.10", False),
        ("model.layers.3.mlp", "mlp_in.3", "mlp.3", False),
        ("layers.3.self_attn", "attn_in.3", "attn.3", True),
        ("layers.0", "embed", "resid.0", False),
    ],
)
def test_what_is_written_gives_the_same_codes(tmp_path, weights, x, folder, reads, writes, centred):
    skip = torch.arange(16.0, dtype=torch.float64).reshape(4, 4) if reads != writes else None
    made = TopK(reads, writes, k=2, centred=centred, W_skip=skip, **weights("b_enc"))
    made.save(tmp_path / folder, format="sparsify")
    (back,) = Dictionary.load(tmp_path / folder)
    assert (back.reads, back.writes, back.k) == (made.reads, made.writes, 2)
    torch.testing.assert_close(back.encode(x), made.encode(x))
    torch.testing.assert_close(back.reconstruct(x), made.reconstruct(x))


def test_the_written_folder_is_laid_out_as_published(tmp_path, weights):
    w = weights("b_enc")
    TopK("resid.1", k=3, centred=True, **w).save(tmp_path / "layers.1", format="sparsify")
    held = load_file(tmp_path / "layers.1" / "sae.safetensors")
    assert torch.equal(held["encoder.weight"], w["W_enc"].T) and torch.equal(held["W_dec"], w["W_dec"])
    assert torch.equal(held["encoder.bias"], w["b_enc"])
    config = json.loads((tmp_path / "layers.1" / "cfg.json").read_text())
    assert (config["k"], config["num_latents"], config["d_in"], config["transcode"]) == (3, 7, 4, False)


def test_what_sparsify_does_not_have_is_refused(tmp_path, weights):
    w = weights("b_enc") | {"centred": False}
    with pytest.raises(ValueError, match="topk dictionaries of one width, no relu dictionary"):
        ReLU("resid.1", **w).save(tmp_path / "layers.1", format="sparsify")
    with pytest.raises(ValueError, match=r"no module that reads neuron\.1"):
        TopK("neuron.1", k=2, **w).save(tmp_path / "layers.1", format="sparsify")
    with pytest.raises(ValueError, match=r"after the module: '.*layers\.1', not 'layers\.2'"):
        TopK("resid.1", k=2, **w).save(tmp_path / "layers.2", format="sparsify")
    with pytest.raises(ValueError, match=r"layers\.1', not 'mine'"):
        TopK("resid.1", k=2, **w).save(tmp_path / "mine", format="sparsify")
    assert list(tmp_path.iterdir()) == []


def test_a_signed_one_keeps_the_largest_of_either_sign(tmp_path, weights, x):
    w = weights("b_enc")
    (made,) = Dictionary.load(published(tmp_path / "layers.10", w, signed=True))
    p = (x - w["b_dec"]) @ w["W_enc"] + w["b_enc"]
    assert isinstance(made, AbsTopK)
    torch.testing.assert_close(made.encode(x), torch.zeros_like(p).scatter(1, p.abs().topk(2).indices, 1) * p)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"k": "2"}, r"cfg\.json: k is '2'; a whole number is due"),
        ({"k": 10**12}, r"sae\.safetensors holds no TopK dictionary: k is 1000000000000"),
        ({"transcode": 0}, r"cfg\.json: transcode is 0; true or false is due"),
        ({"d_in": 5}, r"cfg\.json says d_in = 5, and the tensors 4"),
        ({"num_latents": 9}, r"cfg\.json says num_latents = 9, and the tensors 7"),
    ],
)
def test_settings_are_typed_and_agree_with_the_tensors(tmp_path, weights, config, said):
    with pytest.raises(ValueError, match=said):
        Dictionary.load(published(tmp_path / "layers.10", weights("b_enc"), **config))


def test_a_transcoder_that_has_lost_its_word_or_its_skip_is_no_autoencoder(tmp_path, weights):
    w = weights("b_enc") | {"W_skip": torch.ones(4, 4)}
    folder = published(tmp_path / "layers.3.mlp", w, transcode=True, skip_connection=True)
    config = json.loads((folder / "cfg.json").read_text())
    for lost, said in (("transcode", "has no 'transcode'"), ("skip_connection", "also holds W_skip")):
        (folder / "cfg.json").write_text(json.dumps({name: told for name, told in config.items() if name != lost}))
        with pytest.raises(ValueError, match=said):
            Dictionary.load(folder)
