"""Bigram subnetwork: bigrams by hand, and a model whose bigrams were written into one MLP."""

from functools import cache
from inspect import unwrap
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from clew import Model
from clew.changes import Scale
from clew.data.text.windows import Windows
from clew.methods import Schedule
from clew.methods.weights.bigram_subnetwork import (
    Bigrams,
    MaskedWeights,
    bigram_subnetwork,
    load_masks,
    masked_weights,
    matrices,
    save_masks,
)
from clew.models.body import Body
from clew.sites import Site

VOCAB = 12
PLANTED = VOCAB + VOCAB * VOCAB
"""Weights that hold the bigrams: one for each token that is seen, one for each pair."""


def windows(rows: Tensor) -> Windows:
    """Windows of one length, of token ids."""
    many, long = rows.shape
    flat = rows.flatten()
    return Windows(flat, torch.full((many,), long), torch.ones_like(flat, dtype=torch.bool), torch.arange(many), {})


@cache
def planted() -> tuple[Model, Windows]:
    """Each neuron of the first MLP sees one token and writes what follows; every other matrix is noise that harms."""
    shape = {"n_embd": VOCAB, "n_head": 2, "n_layer": 2, "n_positions": 16}
    module = GPT2LMHeadModel(GPT2Config(vocab_size=VOCAB, bos_token_id=0, eos_token_id=0, **shape)).double().eval()
    g = torch.Generator().manual_seed(0)
    follows = torch.stack([torch.randperm(VOCAB, generator=g) < VOCAB // 2 for _ in range(VOCAB)]).double() * 2 - 1
    with torch.no_grad():
        for p in (p for p in module.parameters() if p.ndim > 1):
            p.copy_(0.15 * torch.randn(p.shape, generator=g, dtype=torch.float64))
        body = module.transformer
        body.wte.weight.copy_(torch.eye(VOCAB))
        body.wpe.weight.zero_()
        mlp = body.h[0].mlp
        for p in (mlp.c_fc.weight, mlp.c_proj.weight):
            p.zero_()
        mlp.c_fc.weight[:, :VOCAB] = torch.eye(VOCAB)
        mlp.c_fc.bias.fill_(-1.0)
        mlp.c_proj.weight[:VOCAB] = 3 * follows
        body.ln_f.weight.fill_(1.5)
    chances, rows = (1.5 * follows).softmax(1), [torch.randint(0, VOCAB, (512,), generator=g)]
    for _ in range(15):
        rows.append(torch.multinomial(chances[rows[-1]], 1, generator=g)[:, 0])
    return Model(Body(module, None, "planted bigrams")), windows(torch.stack(rows, 1))


def test_bigrams_by_hand() -> None:
    bigrams = Bigrams(windows(torch.tensor([[0, 1, 0], [1, 2, 2]])), 4, smoothing=0.0)
    rows = bigrams.rows(torch.tensor([0, 1, 2, 3]))
    single = [1 / 4, 1 / 4, 2 / 4, 0.0]
    assert rows.tolist() == [[0, 1, 0, 0], [0.5, 0, 0.5, 0], [0, 0, 1, 0], single]
    smooth = Bigrams(windows(torch.tensor([[0, 1, 0], [1, 2, 2]])), 4, smoothing=2.0).rows(torch.tensor([1, 3]))
    assert torch.allclose(smooth[0], (2 * torch.tensor(single) + torch.tensor([1.0, 0, 1, 0])) / 4)
    assert smooth[1].tolist() == single


def planted_mask(masked: MaskedWeights) -> Tensor:
    """On for the weights that hold the bigrams, off for all others."""
    mask = torch.zeros(masked.items, dtype=torch.float64)
    parts = masked.split(mask)
    parts["transformer.h.0.mlp.c_fc.weight"].fill_diagonal_(1)
    parts["transformer.h.0.mlp.c_proj.weight"][:VOCAB] = 1
    return mask


def test_the_planted_weights_stay_and_the_noise_goes(tmp_path: Path) -> None:
    model, text = planted()
    found = bigram_subnetwork(
        model, text, keep=PLANTED, schedule=Schedule(150), tokens=4096, to=tmp_path / "masks.safetensors"
    )
    masked = MaskedWeights(model, text, Bigrams(text, VOCAB, 1.0), 4096, seed=0)
    truth, masks = planted_mask(masked), load_masks(tmp_path / "masks.safetensors", model)
    kept = torch.cat([masks[name].flatten() for name in masked.shapes])
    assert kept.sum() == truth.sum() == PLANTED and (kept & (truth > 0)).sum() > 0.85 * PLANTED
    numbers, best = found.details["bigrams"], masked.agreement(truth, list(text.batches(4096)))
    assert numbers["r of the whole model"] < numbers["r"] and best - 0.03 < numbers["r"]
    assert numbers["loss"] < numbers["loss of the whole model"]
    share = {str(found.sites[i]): score for i, score in zip(found.site, found.score, strict=True)}
    assert (
        share["mlp.0"] * 1152
        == masks["transformer.h.0.mlp.c_fc.weight"].sum() + masks["transformer.h.0.mlp.c_proj.weight"].sum()
    )
    assert max(share["attn.0"], share["attn.1"], share["mlp.1"]) < 0.02


def test_the_weights_are_the_same_bits_afterwards() -> None:
    model, text = planted()
    before = {name: p.clone() for name, p in model.body.module.state_dict().items()}
    bigram_subnetwork(model, text, schedule=Schedule(2))
    assert all(torch.equal(before[name], p) for name, p in model.body.module.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in model.body.module.parameters())


def test_masks_multiply_weights() -> None:
    model, _ = planted()
    name = "transformer.h.1.attn.c_proj.weight"
    weight = model.body.module.state_dict()[name]
    mask = torch.rand(weight.shape) < 0.5
    assert torch.equal(masked_weights(model, {name: mask})[name], torch.where(mask, weight, 0.0))
    assert set(matrices(model).values()) == {Site(part, layer) for part in ("attn", "mlp") for layer in (0, 1)}


def test_masks_of_other_weights_and_other_files_are_refused(tmp_path: Path) -> None:
    model, text = planted()
    bigram_subnetwork(model, text, schedule=Schedule(1), to=tmp_path / "masks.safetensors")
    other = GPT2LMHeadModel(model.body.module.config).double()
    with pytest.raises(ValueError, match="are for the weights of planted bigrams, not for those of other"):
        load_masks(tmp_path / "masks.safetensors", Model(Body(other, None, "other")))
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    (tmp_path / "y.safetensors").write_text("no tensors")
    for name, said in (
        ("x", "'clew weight masks' were expected"),
        ("y", "y.safetensors is not a whole safetensors file"),
    ):
        with pytest.raises(ValueError, match=said):
            load_masks(tmp_path / f"{name}.safetensors", model)


def test_masks_that_are_not_of_all_matrices_and_of_true_and_false_are_refused(tmp_path: Path) -> None:
    model, _ = planted()
    masks = {name: torch.ones(p.shape, dtype=torch.bool) for name, p in model.body.module.named_parameters()
             if name in matrices(model)}  # fmt: skip
    name, first = next(iter(masks.items()))
    for spoilt, said in (
        ({n: m for n, m in masks.items() if n != name}, f"has no '{name}'"),
        (masks | {"more": first.clone()}, "also holds more"),
        (masks | {name: first.float()}, rf"{name} in .*a\.safetensors is of torch.float32; true and false are due"),
        (masks | {name: first.T.contiguous()[:1]}, "is not as its weights"),
    ):
        with pytest.raises(ValueError, match=said):
            load_masks(unwrap(save_masks)(tmp_path / "a.safetensors", spoilt, model), model)


def test_edits_and_empty_text_are_refused() -> None:
    model, text = planted()
    with pytest.raises(ValueError, match="1 edits in force"):
        bigram_subnetwork(model.edited(Scale(Site("mlp", 0), factor=0.5)), text)
    with pytest.raises(ValueError, match="no two tokens in a row"):
        bigram_subnetwork(model, windows(torch.tensor([[1], [2]])))
    with pytest.raises(ValueError, match="smoothing=-1"):
        bigram_subnetwork(model, text, smoothing=-1.0)
