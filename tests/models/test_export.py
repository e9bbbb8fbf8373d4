"""Export: what transformers loads without clew gives the logits of the edited model."""

import json

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from clew.changes import Add, Gate, Scale, Update
from clew.models.export import save_pretrained
from clew.models.model import Model
from clew.probing import Probe
from clew.sites import Site, Weight, Where
from tests.models.tiny import model_of, prompts
from tests.planted import tiny_model

S = Site.parse


def shift(seed: int = 0, d: int = 32) -> torch.Tensor:
    return torch.randn(d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rank_one(model: Model, weight: str) -> Update:
    out, reads = model.body.linear(weight).matrix().shape
    return Update(Weight(weight), left=shift(1, out)[:, None], right=shift(2, reads)[None], scale=0.1)


def logits_of(folder) -> torch.Tensor:
    module = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    for p in module.parameters():
        p.data = p.data.clone()  # mapped from the file it may start at an odd address, where sums have another order
    with torch.no_grad():
        return module(input_ids=prompts(), use_cache=False).logits


@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox", "gemma2"])
@pytest.mark.parametrize("weight", ["down.1", "out.0", "v.2"])
def test_a_folder_gives_the_logits_of_the_edited_model_bit_for_bit(family, weight, tmp_path):
    model = model_of(family)
    edited = model.edited(rank_one(model, weight))
    assert save_pretrained(edited, tmp_path / "m") == ()
    assert torch.equal(logits_of(tmp_path / "m"), edited.run(prompts()).logits)
    assert not torch.equal(logits_of(tmp_path / "m"), model.run(prompts()).logits)


@pytest.mark.parametrize(("family", "tied"), [("llama", True), ("llama", False), ("gpt2", True), ("gemma2", True)])
def test_an_edit_of_the_unembedding_unties_it_and_says_so(family, tied, tmp_path):
    model = tiny_model(family, tie_word_embeddings=tied)
    model.body.module.float()
    edited = model.edited(rank_one(model, "unembed"))
    notes = save_pretrained(edited, tmp_path / "m")
    assert torch.equal(logits_of(tmp_path / "m"), edited.run(prompts()).logits)
    assert [("a tensor of its own" in note) for note in notes] == [True] * tied
    assert json.loads((tmp_path / "m" / "config.json").read_text())["tie_word_embeddings"] is False
    assert model.body.module.config.tie_word_embeddings is tied


def test_a_tied_model_stays_tied_when_another_weight_is_edited(tmp_path):
    model = tiny_model("llama", tie_word_embeddings=True)
    edited = model.edited(rank_one(model, "down.0"))
    assert save_pretrained(edited, tmp_path / "m") == ()
    assert torch.equal(logits_of(tmp_path / "m"), edited.run(prompts()).logits)
    assert json.loads((tmp_path / "m" / "config.json").read_text())["tie_word_embeddings"] is True


@pytest.mark.parametrize(
    "site", ["q.1", "v.2", "head.1", "attn.0", "neuron.1", "mlp_out.2", "mlp.1", "resid.0", "resid.2"]
)
def test_what_is_added_everywhere_moves_into_a_bias(site, tmp_path):
    model = tiny_model("gpt2")
    edited = model.edited(Add(S(site), vector=shift(d=model.body.widths[S(site)]), scale=0.7))
    assert save_pretrained(edited, tmp_path / "m")[0].startswith(f"the add at {site} is now in the bias of ")
    assert torch.allclose(logits_of(tmp_path / "m"), edited.run(prompts()).logits, rtol=1e-12, atol=1e-12)
    assert not torch.allclose(logits_of(tmp_path / "m"), model.run(prompts()).logits, atol=1e-3)


def test_an_add_to_some_units_is_read_by_the_weights_that_were_edited_too(tmp_path):
    model = tiny_model("gpt2")
    units = Add(S("neuron.1"), vector=torch.tensor([2.0, -3.0], dtype=torch.float64), units=(0, 5))
    edited = model.edited(units, rank_one(model, "down.1"))
    save_pretrained(edited, tmp_path / "m")
    assert torch.allclose(logits_of(tmp_path / "m"), edited.run(prompts()).logits, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (Scale(S("neuron.1"), factor=0.0), "no constant"),
        (Add(S("resid.1"), vector=shift(), where=Where.at(-1)), "only at some positions"),
        (Add(S("resid.1"), vector=shift(), gate=Gate(Probe("resid.1", shift()))), "only at some positions"),
        (Add(S("resid.1"), vector=shift(), keep_norm=True), "depends on what is there"),
        (Add(S("embed"), vector=shift()), "no linear map writes"),
    ],
)
def test_an_edit_that_no_weight_can_hold_is_refused_and_nothing_is_written(edit, why, tmp_path):
    with pytest.raises(ValueError, match=rf"cannot live in weights: .*{why}.*GGUF control vector"):
        save_pretrained(tiny_model("gpt2").edited(edit), tmp_path / "m")
    assert not list(tmp_path.iterdir())


def test_a_model_without_a_bias_or_with_a_norm_in_between_says_so(tmp_path):
    with pytest.raises(ValueError, match=r"down\.1 of this model has no bias"):
        save_pretrained(tiny_model("llama").edited(Add(S("resid.1"), vector=shift())), tmp_path / "m")
    with pytest.raises(ValueError, match=r"a norm or a factor comes between down\.1 and mlp\.1"):
        save_pretrained(tiny_model("gemma2").edited(Add(S("mlp.1"), vector=shift())), tmp_path / "m")


def test_the_folder_says_what_was_made_of_which_weights_and_holds_the_tokenizer(tmp_path):
    model = model_of("llama")
    edited = model.edited(rank_one(model, "down.1"))
    save_pretrained(edited, tmp_path / "m")
    said = json.loads((tmp_path / "m" / "clew_edits.json").read_text())
    assert said["weights"] == model.body.fingerprint and said["edits"] == [str(edited.edits[0])]
    assert AutoTokenizer.from_pretrained(tmp_path / "m")("the nurse")["input_ids"] == [3, 5]


def test_a_folder_that_is_there_is_never_overwritten(tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="is there already"):
        save_pretrained(model_of("llama"), tmp_path / "m")
    assert [p.name for p in tmp_path.iterdir()] == ["m"]
