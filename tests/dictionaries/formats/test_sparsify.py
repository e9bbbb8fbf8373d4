import json

import pytest
import torch
from safetensors.torch import save_file

from clew.dictionaries import Dictionary


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
