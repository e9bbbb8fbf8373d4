"""Circuits carried by where their parts stand: means of layers by hand, what lies between them, and what has no place."""

import numpy as np
import pytest

import clew
from clew import Circuit, Model
from clew.methods.nodes.attribution_patching import attribution_patching
from clew.methods.transfer import faithfulness_alignment as dfa
from clew.methods.transfer.transfer_by_depth import transfer_by_depth
from tests.planted import random_behaviour, tiny_model


def source_circuit(model: Model) -> Circuit:
    return attribution_patching(model.components(), random_behaviour(), positions=False)


def test_by_depth_a_model_gives_itself_the_means_of_its_layers() -> None:
    model = tiny_model("llama")
    found = source_circuit(model)
    moved = transfer_by_depth(model, random_behaviour(), found)
    total = np.abs(found.score).sum()
    for site in dfa.in_heads_and_mlps(model).dictionaries:
        mean = found[str(site)].score.sum() / found.units[site] / total
        assert moved[str(site)].score == pytest.approx(np.full(found.units[site], mean))


def test_by_depth_a_layer_between_two_gets_their_mean() -> None:
    source = source_circuit(tiny_model("llama", num_hidden_layers=2))
    moved = transfer_by_depth(tiny_model("llama", num_hidden_layers=3), random_behaviour(), source)
    mlps = [moved[f"mlp.{layer}"].score[0] for layer in range(3)]
    assert mlps[1] == pytest.approx((mlps[0] + mlps[2]) / 2)
    assert mlps[0] == pytest.approx(source["mlp.0"].score[0] / np.abs(source.score).sum())


def test_all_heads_of_a_layer_tie_whatever_their_number() -> None:
    source = source_circuit(tiny_model("llama"))
    moved = transfer_by_depth(tiny_model("gpt2", n_head=2), random_behaviour(), source)
    total = np.abs(source.score).sum()
    for layer in range(3):
        mean = source[f"head.{layer}"].score.mean() / total
        assert moved[f"head.{layer}"].score == pytest.approx([mean, mean])


def test_the_ends_of_a_deeper_model_stand_at_the_ends_of_the_source() -> None:
    source = source_circuit(tiny_model("llama", num_hidden_layers=2))
    moved = transfer_by_depth(tiny_model("llama", num_hidden_layers=5), random_behaviour(), source)
    mlps = [moved[f"mlp.{layer}"].score[0] for layer in range(5)]
    first, last = (source[f"mlp.{layer}"].score[0] / np.abs(source.score).sum() for layer in range(2))
    assert mlps == pytest.approx(np.linspace(first, last, 5))


def test_find_carries_one_over_and_its_record_names_the_source() -> None:
    source = clew.find(tiny_model("gpt_neox").components(), random_behaviour(n=8), by="attribution_patching")
    found = clew.find(tiny_model("llama"), random_behaviour(n=8), source, by="transfer_by_depth")
    assert found.provenance["nodes_of"]["weights"] == source.provenance["weights"] != found.provenance["weights"]
    assert not found.kind.in_metric_units and {s.part for s in found.sites} == {"head", "mlp"}


def test_what_stands_at_no_depth_is_refused() -> None:
    model, behaviour = tiny_model("llama"), random_behaviour()
    found = source_circuit(model)
    with pytest.raises(ValueError, match="no scores of part 'mlp'"):
        heads = attribution_patching(model.heads(), behaviour, positions=False)
        transfer_by_depth(model, behaviour, heads)
    with pytest.raises(ValueError, match=r"source\.components\(\)"):
        transfer_by_depth(model, behaviour, attribution_patching(model, behaviour))
    with pytest.raises(ValueError, match="mask over heads and MLPs"):
        transfer_by_depth(model.neurons("resid.0"), behaviour, found)
