import json
from io import BytesIO

import pytest
import torch

from clew.dictionaries import BatchTopK, Dictionary, ReLU, TopK


def saved(path, state):
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path)
    return path


def linear(w, encoder, decoder):
    turned = {f"{encoder}.weight": w["W_enc"].T, f"{decoder}.weight": w["W_dec"].T}
    return turned | {f"{encoder}.bias": w["b_enc"], f"{decoder}.bias": w["b_dec"]}


@pytest.mark.parametrize(
    ("file", "names", "site"),
    [
        ("Llama-3.1-8B-Instruct-SAE-l19.pth", ("encoder_linear", "decoder_linear"), "resid.19"),
        ("DeepSeek-R1-Distill-Llama-8B-SAE-l37.pt", ("encoder", "decoder"), "resid.37"),
    ],
)
def test_goodfire_and_deepseek_are_relu_and_not_centred(tmp_path, weights, x, file, names, site):
    w = weights("b_enc")
    (made,) = Dictionary.load(saved(tmp_path / file, linear(w, *names)))
    f = (x @ w["W_enc"] + w["b_enc"]).relu()
    assert isinstance(made, ReLU) and str(made.reads) == site
    torch.testing.assert_close(made.reconstruct(x), f @ w["W_dec"] + w["b_dec"])
    assert Dictionary.load(tmp_path)[0].reads == made.reads


def test_qwen_scope_takes_k_from_its_folder(tmp_path, weights, x):
    w = weights("b_enc")
    state = {"W_enc": w["W_enc"].T, "W_dec": w["W_dec"].T, "b_enc": w["b_enc"], "b_dec": w["b_dec"]}
    folder = tmp_path / "SAE-Res-Qwen3-1.7B-Base-W32K-L0_2"
    for n in (11, 2):
        saved(folder / f"layer{n}.sae.pt", state)
    found = Dictionary.load(folder)
    assert [(str(d.reads), d.k) for d in found] == [("resid.2", 2), ("resid.11", 2)]
    p = (x @ w["W_enc"] + w["b_enc"]).relu()
    torch.testing.assert_close(found[0].encode(x), torch.zeros_like(p).scatter(1, p.topk(2).indices, 1) * p)
    with pytest.raises(ValueError, match="does not say how many units stay active"):
        Dictionary.load(saved(tmp_path / "mine" / "layer2.sae.pt", state))


def openai(w, **more):
    state = {"encoder.weight": w["W_enc"].T, "decoder.weight": w["W_dec"].T}
    return state | {"latent_bias": w["b_enc"], "pre_bias": w["b_dec"], "stats_last_nonzero": torch.zeros(7)} | more


def test_openai_is_centred_and_its_normalised_topk_is_refused(tmp_path, weights, x):
    w = weights("b_enc")
    p = (x - w["b_dec"]) @ w["W_enc"] + w["b_enc"]
    made = Dictionary.load(saved(tmp_path / "7.pt", openai(w, activation="ReLU", activation_state_dict={})), at="mlp.7")
    torch.testing.assert_close(made[0].reconstruct(x), p.relu() @ w["W_dec"] + w["b_dec"])
    (made,) = Dictionary.load(saved(tmp_path / "8.pt", openai(w, k=torch.tensor(2))), at="mlp.7")
    kept = torch.zeros_like(p).scatter(1, p.relu().topk(2).indices, 1)
    assert isinstance(made, TopK)
    torch.testing.assert_close(made.encode(x), kept * p.relu())
    state = openai(w, activation="TopK", activation_state_dict={"k": 2, "postact_fn": "ReLU"})
    with pytest.raises(ValueError, match="shift and scale every activation"):
        Dictionary.load(saved(tmp_path / "9.pt", state), at="mlp.7")


def saev(path, w, activation, **more):
    buffer = BytesIO()
    torch.save({name: w[name] for name in ("W_enc", "W_dec", "b_enc", "b_dec")} | more, buffer)
    header = {"schema": 2, "cfg": {"d_vit": 4, "activation": activation}, "commit": "unknown", "lib": "0.1"}
    path.write_bytes(json.dumps(header).encode() + b"\n" + buffer.getvalue())
    return path


def test_saev_says_its_activation_in_the_first_line(tmp_path, weights, x):
    w, file = weights("b_enc"), tmp_path / "sae.pt"
    p = (x @ w["W_enc"] + w["b_enc"]).relu()
    (made,) = Dictionary.load(saev(file, w, {"cls": "Relu", "params": {}}), at="resid.1")
    torch.testing.assert_close(made.reconstruct(x), p @ w["W_dec"] + w["b_dec"])
    (made,) = Dictionary.load(saev(file, w, {"cls": "TopK", "params": {"top_k": 2}}), at="resid.1")
    assert isinstance(made, TopK) and made.k == 2
    batch = {"cls": "BatchTopK", "params": {"top_k": 2}}
    threshold = {"activation.threshold": torch.tensor(0.7)}
    (made,) = Dictionary.load(saev(file, w, batch, **threshold), at="resid.1")
    assert isinstance(made, BatchTopK)
    torch.testing.assert_close(made.encode(x), p * (p > made.threshold))
    with pytest.raises(ValueError, match="the activation 'BatchTopK' cannot be read"):
        Dictionary.load(saev(file, w, batch), at="resid.1")


def test_another_lone_file_is_tried_as_dictionary_learning(tmp_path, weights):
    w = weights("b_enc")
    state = {"encoder.weight": w["W_enc"].T, "decoder.weight": w["W_dec"].T, "encoder.bias": w["b_enc"]}
    file = saved(tmp_path / "mine.pt", state | {"bias": w["b_dec"]})
    assert Dictionary.load(file, at="resid.1")[0].centred
    with pytest.raises(ValueError, match=r"the tensors of mine\.pt .* are of no class we know"):
        Dictionary.load(saved(file, state), at="resid.1")
    with pytest.raises(ValueError, match=r"mine\.pt holds Python objects .* refused"):
        Dictionary.load(saved(file, torch.nn.Linear(2, 2)), at="resid.1")


def test_a_file_that_has_lost_what_says_its_activation_is_no_relu(tmp_path, weights):
    w = weights("b_enc")
    with pytest.raises(ValueError, match=r"8\.pt does not say its activation"):
        Dictionary.load(saved(tmp_path / "8.pt", openai(w)), at="mlp.7")  # a top-k one without its k
    with pytest.raises(ValueError, match=r"9\.pt holds settings of an activation"):
        state = openai(w, activation_state_dict={"k": 2, "postact_fn": "ReLU"})
        Dictionary.load(saved(tmp_path / "9.pt", state), at="mlp.7")
    with pytest.raises(ValueError, match="k in 8.pt is 2.0|k in 8.pt is tensor"):
        Dictionary.load(saved(tmp_path / "8.pt", openai(w, k=torch.tensor(2.0))), at="mlp.7")
    with pytest.raises(ValueError, match="the first line of sae.pt has no 'cls'"):
        Dictionary.load(saev(tmp_path / "sae.pt", w, None), at="resid.1")
    threshold = {"activation.threshold": torch.tensor(0.7)}
    with pytest.raises(ValueError, match="the activation 'Relu' cannot be read"):
        Dictionary.load(saev(tmp_path / "sae.pt", w, {"cls": "Relu"}, **threshold), at="resid.1")
