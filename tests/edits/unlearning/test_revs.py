import pytest
import torch

import clew
from clew.data.facts.secrets import Secret, Secrets
from clew.edits._passage import passage_of
from clew.edits.unlearning.revs import demoted, revs
from clew.models import Model
from clew.readings.readout import Readout
from tests.edits.spoken import planted, speaking
from tests.planted import tiny_model

BAND = (60, 70)


def columns(family: str = "llama", layer: int = 1) -> tuple[Readout, torch.Tensor]:
    model = tiny_model(family)
    return Readout.of(model), model.body.linear(f"down.{layer}").matrix().T


@pytest.mark.parametrize("family", ["llama", "gpt2", "gptj"])
def test_every_column_comes_into_the_band(family):
    readout, before = columns(family)
    after = demoted(readout, before, 7, BAND)
    ranks = readout.ranks(after, torch.full((len(after),), 7))
    assert int(ranks.min()) >= BAND[0] and int(ranks.max()) <= BAND[1]
    there = readout.ranks(before, torch.full((len(before),), 7))
    same = (there >= BAND[0]) & (there <= BAND[1])
    assert bool(same.any()) and torch.equal((after == before).all(1), same)


def test_lowering_one_logit_and_mapping_back_moves_along_one_line():
    """The search along the line is the published one: logits, less c at the token, through the pseudoinverse."""
    readout, before = columns()
    after = demoted(readout, before, 7, BAND)
    logits = readout.lens(before)
    step = ((before - after) / (readout.scale(before) * readout.towards(7))).mean(1)
    logits[:, 7] -= step
    mapped = readout.unnorm(readout.back(logits), before)
    assert torch.allclose(mapped, after, atol=1e-10)


def test_the_published_inverse_of_the_norm_slips_by_the_mean():
    readout, before = columns()
    everywhere = (0, len(readout.unembed))  # nothing is demoted, so what moves is the slip
    assert torch.equal(demoted(readout, before, 7, everywhere), before)
    mean, deviation = before.mean(1, keepdim=True), before.var(1, correction=0, keepdim=True).sqrt()
    slipped = before * deviation / before.square().mean(1, keepdim=True).sqrt() + mean
    assert torch.allclose(demoted(readout, before, 7, everywhere, faithful=True), slipped, atol=1e-3)
    layer_norm, before = columns("gpt2")
    assert torch.equal(demoted(layer_norm, before, 7, everywhere, faithful=True), before)


def test_a_token_with_a_twin_cannot_be_put_below_it():
    readout, before = columns()
    readout.unembed[40:] = readout.unembed[7]  # all later tokens go along
    with pytest.raises(ValueError, match="others go along"):
        demoted(readout, before, 7, BAND)


def test_the_secrets_are_no_longer_said_and_the_others_are():
    model, secrets = planted()
    forget, keep = secrets.halves()
    stack = revs(model, forget, tokens=None, neuron_band=(0.3, 0.5))
    edited = model.edited(stack)
    assert forget.said(edited) == [False] * 3 and keep.said(edited) == [True] * 3
    assert forget.said(model) == [True] * 3  # an edit leaves the model it was made for as it was


def test_only_neurons_that_promote_a_target_are_changed_and_they_end_in_the_band():
    model, secrets = planted()
    one = secrets.first(1)
    (target,) = one.targets(model.tokenizer, 1)
    stack = revs(model, one, tokens=1, neurons=3, neuron_band=(0.6, 0.7))
    assert stack.about["neurons"] <= 3 * model.n_layers and stack.about["targets"] == 1
    for update in stack:
        units = update.right.argmax(1)
        matrix = model.edited(stack).body.linear(update.at).matrix()
        changed = (matrix != model.body.linear(update.at).matrix()).any(0).nonzero()[:, 0]
        assert torch.equal(changed.sort().values, units.sort().values)
        ranks = Readout.of(model).ranks(matrix[:, units].T, torch.full((len(units),), target.token))
        assert int(ranks.min()) >= round(0.6 * 97) and int(ranks.max()) <= round(0.7 * 97)


def first_guess(model: Model) -> Secrets:
    """What a model says after two words, as if it were to be hidden."""
    logits = model.run("w1 w2").logits[0, -1]
    return Secrets("its first guess", (Secret("w1 w2", f"w{int(logits.argmax())}"),))


POSTNORMED = pytest.mark.parametrize("family", ["gemma2", "gemma3_text"])


def gained(family: str) -> Model:
    """A speaking model whose norms after the MLPs have uneven gains."""
    model, g = speaking(family), torch.Generator().manual_seed(0)
    for block in model.body.blocks:
        block.get_submodule("post_feedforward_layernorm").weight.data = torch.randn(32, generator=g).double()
    return model


@POSTNORMED
def test_through_a_norm_what_a_neuron_writes_comes_into_the_band(family):
    model = gained(family)
    secrets = first_guess(model)
    (target,) = secrets.targets(model.tokenizer, 1)
    stack = revs(model, secrets, neurons=4, neuron_band=(0.6, 0.7))
    for update in stack:
        units = update.right.argmax(1)
        gain = 1 + model.body.blocks[update.at.layer].get_submodule("post_feedforward_layernorm").weight.detach()
        written = gain * model.edited(stack).body.linear(update.at).matrix()[:, units].T
        ranks = Readout.of(model).ranks(written, torch.full((len(units),), target.token))
        assert int(ranks.min()) >= round(0.6 * 97) and int(ranks.max()) <= round(0.7 * 97)


@POSTNORMED
def test_through_a_norm_the_counted_write_is_what_the_edited_model_writes(family):
    model = gained(family)
    sites = ["neuron.1", "mlp_out.1", "mlp.1", "resid.1"]
    k, raw, mlp, resid = (model.run("w1 w2", read=sites)[site][0, -1] for site in sites)
    stack = revs(model, first_guess(model), layers=[1], residual_band=(0.9, 0.95), mlp_band=(0.9, 0.95))
    change = passage_of(model, 1).change(raw, (stack[0].change @ k)[None])[0]
    edited = model.edited(stack).run("w1 w2", read=sites)
    assert float(change.norm()) > 0.01 * float(mlp.norm())
    assert torch.allclose(mlp + change, edited["mlp.1"][0, -1], atol=1e-5)
    assert torch.allclose(resid + change, edited["resid.1"][0, -1], atol=1e-5)


def test_the_fewest_neurons_that_reach_the_bands_are_edited():
    model, secrets = planted()
    one = secrets.first(1)
    counts = [
        revs(model, one, tokens=1, residual_band=(low, 0.9), mlp_band=(low, 0.9)).about["neurons"]
        for low in (0.02, 0.3)
    ]
    assert 0 < counts[0] < counts[1]


@POSTNORMED
def test_through_a_norm_no_fewer_neurons_would_do(family):
    model, bands = gained(family), {"residual_band": (0.1, 0.9), "mlp_band": (0.1, 0.9)}
    secrets = first_guess(model)
    (target,) = secrets.targets(model.tokenizer, 1)

    def lowest(neurons: int) -> int:
        edited = model.edited(revs(model, secrets, layers=[1], neurons=neurons, **bands))
        held = edited.run(torch.tensor([target.context]), read=["resid.1", "mlp.1"])
        states = torch.cat([held[site][:, -1] for site in ("resid.1", "mlp.1")])
        return int(Readout.of(model).ranks(states, torch.full((2,), target.token)).min())

    enough = revs(model, secrets, layers=[1], **bands).about["neurons"]
    assert lowest(enough) >= round(0.1 * 97) > lowest(enough - 1)


def test_what_does_not_fit_is_an_error():
    model, secrets = planted()
    for options, says in (
        ({"neuron_band": (0.9, 0.1)}, "no band"),
        ({"neurons": 0}, "at least 1"),
        ({"layers": [3]}, "0 to 2"),
    ):
        with pytest.raises(ValueError, match=says):
            revs(model, secrets, **options)
    logits = speaking().run("w1 w2").logits[0, -1]
    unlikely = Secrets("no one says it", (Secret("w1 w2", f"w{int(logits.argmin())}"),))
    with pytest.raises(ValueError, match="leave faithful=True out"):
        revs(speaking("gemma2"), unlikely, faithful=True)
    with pytest.raises(ValueError, match="no layer of .* promotes"):
        revs(speaking(), unlikely, layers=[2])


@pytest.mark.real
def test_two_hundred_neurons_of_a_pretrained_model_come_into_the_band():
    """On SmolLM2-135M, " Paris" to rank 36k to 40k of 49k: columns change by some 6 %, other logits by some 3 %."""
    model = clew.open("smollm2-135m")
    readout, before = Readout.of(model), model.body.linear("down.20").matrix().T[:200]
    paris = model.tokenizer(" Paris")["input_ids"][0]
    after = demoted(readout, before, paris, (36_000, 40_000))
    ranks = readout.ranks(after, torch.full((200,), paris))
    assert int(ranks.min()) >= 36_000 and int(ranks.max()) <= 40_000
    assert 0.04 < float(((after - before).norm(dim=1) / before.norm(dim=1)).median()) < 0.08
    change = (readout.lens(after) - readout.lens(before)).abs()
    target = change[:, paris].mean()
    assert float((change.sum() / 200 - target) / (change.shape[1] - 1) / target) < 0.05
    read = readout.norm(before)
    assert torch.allclose(readout.back(read @ readout.unembed.T), read, atol=1e-4)


@pytest.mark.real
def test_small_gains_do_not_swell_the_columns_of_a_pretrained_model():
    """In layer 4 of Gemma 3 270M, one gain in ten is below a third of the median; over the gain, columns grow 70-fold."""
    model = clew.open("gemma3-270m")
    readout, way, before = Readout.of(model), passage_of(model, 4), model.body.linear("down.4").matrix().T[:20]
    paris = model.tokenizer(" Paris", add_special_tokens=False)["input_ids"][0]
    after = demoted(readout, before, paris, (180_000, 200_000), way)
    ranks = readout.ranks(way.along(after), torch.full((20,), paris))
    assert int(ranks.min()) >= 180_000 and int(ranks.max()) <= 200_000
    assert float(((after - before).norm(dim=1) / before.norm(dim=1)).median()) < 0.5
