"""What a site holds on the clean prompts and what it would hold otherwise: whose states these are, by each baseline."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from clew.circuits.circuit import Circuit
from clew.circuits.kind import Kind
from clew.data.behaviours.behaviour import Behaviour
from clew.data.behaviours.pairs import Pair
from clew.models import Model
from clew.models.graph.components import Components
from clew.readings import contrast
from clew.readings.contrast import (
    Contrast,
    batch_tokens,
    check_fits,
    edge_tokens,
    input_baseline,
    read_sites,
    resampled,
    state,
    zero_state,
)
from clew.sites import Site
from tests.models.tiny import model_of, relu_dictionary
from tests.planted import random_behaviour, random_dictionary, tiny_model

SITES = ("resid.0", "mlp.1")


def view() -> Model:
    return tiny_model("gpt_neox").through(*(random_dictionary(site, 32) for site in SITES))


def circuit(model: Model, position: int = -1, **more: object) -> Circuit:
    """One unit of each site of the view."""
    sites = tuple(model.dictionaries)
    index = np.arange(len(sites))
    columns = {"site": index, "unit": index, "position": np.full(len(sites), position), "score": index + 1.0}
    units = {site: d.n_units for site, d in model.dictionaries.items()}
    return replace(Circuit(sites, units, **columns, patch_mean=index + 0.0), **more)


# States.


@pytest.mark.parametrize("baseline", ["patch", "zero", "mean", "resample"])
def test_a_state_is_what_flows_and_the_other_one_is_that_of_its_baseline(baseline):
    model, behaviour = view(), random_behaviour(n=4)
    held = Contrast(model, behaviour, baseline)
    (batch,) = held.batches
    clean, other = model.run(batch.clean, read=held.sites, logits=1), held.other(batch)
    runs = {"patch": batch.patch, "resample": resampled(batch, 0)}
    assert (other is None) == (baseline in ("zero", "mean"))
    for site, dictionary in model.dictionaries.items():
        here, there = held.states(clean, other, site)
        assert torch.allclose(here.value(dictionary), clean[site], atol=1e-12)
        if baseline in runs:
            wanted = model.run(runs[baseline], read=[site])[site]
        elif baseline == "mean":
            wanted = clean[site].mean(0, keepdim=True).expand_as(clean[site])
        else:
            wanted = dictionary.decode(torch.zeros_like(here.code))
            assert not there.code.any() and not there.error.any()
        assert torch.allclose(there.value(dictionary), wanted, atol=1e-9)


def test_a_mean_in_units_is_the_mean_of_the_codes():
    model, behaviour = view(), random_behaviour(n=4)
    held = Contrast(model, behaviour, "mean")
    (batch,) = held.batches
    clean = model.run(batch.clean, read=held.sites, logits=1)
    _, there = held.states(clean, None, Site("mlp", 1))
    assert torch.allclose(there.code[2], clean.code("mlp.1").mean(0), atol=1e-9)


def test_states_of_a_half_precision_model_are_wide_enough_to_add_up():
    model = model_of("llama", torch.bfloat16)
    seen = model.through(relu_dictionary(model, "resid.1", dtype=torch.bfloat16))
    trace = seen.run(torch.tensor([[5, 6, 7]]), read=["resid.1"])
    found = state(trace, Site("resid", 1))
    assert found.code.dtype == found.error.dtype == torch.float32
    assert not zero_state(found).code.any() and zero_state(found).error.shape == found.error.shape


def test_without_a_baseline_it_is_the_patch_where_there_are_patches():
    model, behaviour = view(), random_behaviour()
    bare = replace(behaviour.without_patches())
    assert Contrast(model, behaviour).baseline == "patch" != Contrast(model, bare).baseline
    with pytest.raises(ValueError, match="prompts without a patch; choose baseline="):
        Contrast(model, bare, "patch")


def test_a_path_of_embeddings_ends_at_the_patch_or_at_a_mean_and_never_at_zero():
    behaviour = random_behaviour()
    assert input_baseline(behaviour, None) == "patch"
    assert input_baseline(behaviour.without_patches(), None) == "mean"
    assert input_baseline(behaviour, "resample") == "resample"
    with pytest.raises(ValueError, match="cannot end at zero"):
        input_baseline(behaviour, "zero")


# Who stands in for whom.


def test_who_stands_in_for_whom_does_not_depend_on_the_batches():
    behaviour, model = random_behaviour(n=5), tiny_model("llama")
    whole = torch.cat([resampled(batch, 3) for batch in behaviour.batches(model)])
    parts = torch.cat([resampled(batch, 3) for batch in behaviour.batches(model, tokens=8)])
    single = torch.cat([resampled(batch, 3) for batch in behaviour.batches(model, tokens=1)])
    assert torch.equal(whole, parts) and torch.equal(whole, single)
    patches = torch.tensor([pair.patch for pair in behaviour.pairs])
    assert sorted(map(tuple, whole.tolist())) == sorted(map(tuple, patches.tolist()))
    assert not (whole == patches).all(1).any()


def test_none_ever_stands_in_for_itself_and_the_seed_says_who_does():
    (batch,) = random_behaviour(n=4).batches(view())
    found = [resampled(batch, seed) for seed in range(12)]
    assert not any(bool((rows == batch.patch).all(1).any()) for rows in found)
    assert len({str(rows.tolist()) for rows in found}) > 1 and torch.equal(found[3], resampled(batch, 3))


def test_neither_a_copy_nor_the_clean_prompt_stands_in():
    pairs = random_behaviour(n=3).pairs
    turned = [Pair(p.patch, p.clean, p.patch_answers, p.answers) for p in pairs]
    for several in (pairs * 4, (*pairs, *turned), (*pairs, *turned) * 2):
        (batch,) = Behaviour("several", tuple(several), split=2).batches(view())
        for seed in range(12):
            found = resampled(batch, seed)
            assert not (found == batch.patch).all(1).any() and not (found == batch.clean).all(1).any()
    (batch,) = Behaviour("one", pairs[:1] * 3, split=1).batches(view())
    with pytest.raises(ValueError, match=r"no other prompt of .* tokens to resample from \(copies are one\)"):
        resampled(batch, 0)


def test_a_prompt_alone_of_its_length_has_none_to_stand_in():
    pairs = random_behaviour(n=3).pairs
    longer = Pair((3, 4, 5, 6, 7), (3, 9, 5, 6, 7), (8,), (9,))
    batches = Behaviour("odd", (*pairs, longer)).batches(view())
    with pytest.raises(ValueError, match=r"no other prompt of 5 tokens to resample from .*of_length"):
        [resampled(batch, 0) for batch in batches]


# What fits, and how much at once.


def test_a_view_through_nothing_has_no_units():
    for asked in (
        lambda: batch_tokens(tiny_model("llama").through()),
        lambda: Contrast(tiny_model("llama").through(), random_behaviour()),
    ):
        with pytest.raises(ValueError, match="through no dictionaries, so it has no units; give some to model.through"):
            asked()


def test_a_circuit_fits_the_view_it_was_found_in_and_no_other():
    model = view()
    check_fits(model, circuit(model), {4, 5})
    others = tiny_model("gpt_neox")
    for other, seen in (
        (others.through(random_dictionary("resid.0", 32)), r"mlp\.1, .*is not seen there"),
        (
            others.through(random_dictionary("resid.0", 32), random_dictionary("mlp.1", 32, units=7)),
            r"mlp\.1, where 20 units stood, .*another dictionary",
        ),
    ):
        with pytest.raises(ValueError, match=seen):
            check_fits(other, circuit(model), {4})


def test_a_dictionary_of_the_same_size_is_told_from_the_one_that_the_record_names():
    model = view()
    known = circuit(model, provenance={"dictionaries": model.fingerprints})
    check_fits(model, known, {4})
    again = tiny_model("gpt_neox").through(random_dictionary("resid.0", 32), random_dictionary("mlp.1", 32, seed=1))
    with pytest.raises(ValueError, match=r"mlp\.1, .*through another dictionary"):
        check_fits(again, known, {4})
    check_fits(again, circuit(model), {4})  # a record that says nothing binds to nothing


def test_positions_are_of_prompts_of_one_length_that_have_them():
    model = view()
    for position, kind, lengths in ((3, Kind(), {4}), (3, Kind(length=4), {4}), (-1, Kind(), {3, 4})):
        check_fits(model, circuit(model, position, kind=kind), lengths)
    for position, kind, lengths in ((4, Kind(), {4}), (3, Kind(length=5), {4}), (3, Kind(), {4, 5})):
        with pytest.raises(ValueError, match=r"keep that length with behaviour\.of_length"):
            check_fits(model, circuit(model, position, kind=kind), lengths)


def test_shares_of_weights_have_no_run_to_be_ablated_in():
    model = view()
    with pytest.raises(ValueError, match="this is a circuit of weights"):
        check_fits(model, circuit(model, kind=Kind("weights", in_metric_units=False)), {4})


def test_nodes_have_positions_where_a_position_means_the_same():
    model, behaviour = view(), random_behaviour()
    odd = Behaviour("odd", (*behaviour.pairs, Pair((3, 4, 5), (3, 9, 5), (8,), (9,))), aligned=True)
    aligned, loose, mixed = (Contrast(model, b) for b in (behaviour, replace(behaviour, aligned=False), odd))
    assert [c.keeps_positions(None) for c in (aligned, loose, mixed)] == [True, False, False]
    assert loose.keeps_positions(True) and not aligned.keeps_positions(False)
    with pytest.raises(ValueError, match=r"prompts of \[3, 4\] tokens, so a position does not mean the same"):
        mixed.keeps_positions(True)


def test_the_words_of_the_first_prompt_are_its_tokens():
    assert Contrast(view(), random_behaviour()).words() == [str(i) for i in random_behaviour().pairs[0].clean]
    model = model_of("llama").neurons("mlp.1")
    asked = Behaviour("b", (Pair("the nurse said", "the king said", (" she",), (" he",)),) * 2)
    assert Contrast(model, asked).words() == ["the", "nurse", "said"]


def test_what_is_read_is_what_dictionaries_read_and_write_in_forward_order():
    model = model_of("llama")
    seen = model.through(relu_dictionary(model, "resid.2"), relu_dictionary(model, "mlp_in.1", "mlp.1"))
    assert list(map(str, read_sites(seen))) == ["mlp_in.1", "mlp.1", "resid.2"]


def test_as_much_runs_at_once_as_the_widest_code_or_all_ends_of_edges_allow(monkeypatch):
    asked = list[int]()
    monkeypatch.setattr(contrast, "at_once", lambda values: asked.append(values) or 7)
    model = tiny_model("gpt_neox")
    wide = model.through(random_dictionary("resid.0", 32), random_dictionary("mlp.1", 32, units=50))
    graph = Components(model.body)
    assert batch_tokens(wide) == edge_tokens(graph) == 7
    assert asked == [50, (len(graph.sources) + len(graph.readers)) * 32]
