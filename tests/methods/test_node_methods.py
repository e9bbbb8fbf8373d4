"""Node methods against each other: equalities that theory promises."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from clew import Behaviour, Model, Scale, Trace, find, verify
from clew.circuits.circuit import ERROR, Circuit
from clew.data.behaviours.behaviour import Batch
from clew.data.behaviours.metrics import reading
from clew.dictionaries import ReLU
from clew.methods.edges import edges as edging
from clew.methods.nodes.attribution_patching import attribution_patching
from clew.methods.nodes.exact_patching import exact_patching
from clew.methods.nodes.integrated_gradients import integrated_gradients
from clew.methods.nodes.integrated_gradients_inputs import integrated_gradients_inputs
from tests.planted import oracle_behaviour, oracle_lens, random_behaviour, random_dictionary, tiny_model


def view(scale: float = 0.3) -> Model:
    return tiny_model("gpt_neox", scale=scale).through(
        *[random_dictionary(s, 32, ReLU) for s in ("resid.0", "attn.1", "mlp.1", "resid.1")]
    )


def scores(circuit: Circuit) -> dict[tuple[str, int, int], float]:
    return dict(zip(circuit.keys(), circuit.score.tolist(), strict=True))


@pytest.mark.parametrize("method", [integrated_gradients, integrated_gradients_inputs])
def test_one_step_is_attribution_patching(method) -> None:
    model, behaviour = view(), random_behaviour()
    first, second = scores(attribution_patching(model, behaviour)), scores(method(model, behaviour, steps=1))
    assert first.keys() == second.keys()
    assert np.allclose(list(first.values()), [second[k] for k in first], atol=1e-12)


def test_integrated_gradients_add_up_to_patching_the_whole_site() -> None:
    """The fundamental theorem along the line, within the error of a left Riemann sum, which falls as 1/steps."""
    model, behaviour = view(), random_behaviour()
    (batch,) = behaviour.batches(model)
    patch = model.run(batch.patch, read=["resid.0"])
    from clew.changes import Set
    from clew.sites import Site

    patched = model.run(batch.clean, edits=[Set(Site("resid", 0), value=patch["resid.0"])])
    drop = (behaviour.metric(model.run(batch.clean), batch) - behaviour.metric(patched, batch)).mean().item()
    gaps = []
    for steps in (8, 64):
        found = integrated_gradients(model, behaviour, steps=steps)
        gaps.append(abs(found.score[found.site == 0].sum() - drop))
    assert gaps[1] < 0.2 * gaps[0]
    assert gaps[1] < 0.02 * abs(drop)


def test_methods_agree_on_a_model_that_is_nearly_linear() -> None:
    """Tiny weights make the blocks vanish beside the stream: what stays curved is the last norm."""
    model, behaviour = view(scale=0.02), random_behaviour()
    exact = scores(exact_patching(model, behaviour).top(30))
    integrated = scores(integrated_gradients(model, behaviour, steps=20))
    assert np.corrcoef(list(exact.values()), [integrated[k] for k in exact])[0, 1] > 0.98


def test_exact_patching_by_hand() -> None:
    model, behaviour = view(), random_behaviour(n=1)
    circuit = exact_patching(model, behaviour)
    node = next(n for n in circuit.top(5) if n.unit != ERROR)
    (batch,) = behaviour.batches(model)
    clean, patch = model.run(batch.clean, read=[node.site]), model.run(batch.patch, read=[node.site])
    from clew.changes import Set
    from clew.sites import Where

    value = patch.code(node.site)[0, node.position, node.unit]
    edit = Set(node.site, value=value, where=Where.at(node.position), basis="code", units=(node.unit,))
    drop = behaviour.metric(clean, batch) - behaviour.metric(model.run(batch.clean, edits=[edit]), batch)
    assert node.score == pytest.approx(drop.item(), abs=1e-10)


def test_exact_patching_scores_only_the_circuit_it_is_given() -> None:
    model, behaviour = view(), random_behaviour()
    asked = attribution_patching(model, behaviour).top(7)
    assert set(exact_patching(model, behaviour, asked).keys()) == set(asked.keys())


def test_summed_positions_are_the_sum_of_positions() -> None:
    model, behaviour = view(), random_behaviour()
    summed, placed = (scores(attribution_patching(model, behaviour, positions=p)) for p in (False, True))
    for (site, unit, _), value in summed.items():
        assert value == pytest.approx(sum(v for (s, u, _), v in placed.items() if (s, u) == (site, unit)), abs=1e-12)


def test_without_patches_the_units_go_to_zero() -> None:
    model, behaviour = oracle_lens(), oracle_behaviour(pairs=False)
    circuit = attribution_patching(model, behaviour)
    (batch,) = behaviour.batches(model)
    clean = model.run(batch.clean, read=["resid.1"], grad=True)
    grad = clean.gradients(-behaviour.metric(clean, batch).sum())
    dictionary = model.dictionaries[circuit.sites[6]]
    by_hand = (dictionary.pull(next(iter(grad.values()))) * -clean.code("resid.1")).mean(0)
    for node in [n for n in circuit if str(n.site) == "resid.1" and n.unit != ERROR]:
        assert node.score == pytest.approx(by_hand[node.position, node.unit].item(), abs=1e-12)


@pytest.mark.parametrize("baseline", ["mean", "resample", "zero"])
@pytest.mark.parametrize(
    "by", ["attribution_patching", "integrated_gradients", "integrated_gradients_inputs", "exact_patching"]
)
def test_every_method_takes_every_baseline(by: str, baseline: str) -> None:
    if (by, baseline) == ("integrated_gradients_inputs", "zero"):
        pytest.skip("zero is no embedding; the test below")
    model = tiny_model("gpt2").through(random_dictionary("resid.1", 32))
    found = find(model, random_behaviour(), by=by, baseline=baseline, held_out=False)
    assert len(found) and np.isfinite(found.score).all()


@pytest.mark.parametrize("by", ["integrated_gradients_inputs", "eap_ig_inputs", "clean_corrupted"])
def test_a_path_of_embeddings_never_ends_at_zero(by: str) -> None:
    """A norm divides by the length of what it reads, so gradients at an embedding of zeros are huge or no numbers."""
    behaviour, model = random_behaviour(), tiny_model("llama")
    with pytest.raises(ValueError, match="a path of embeddings cannot end at zero.*'patch', 'mean' or 'resample'"):
        find(model, behaviour, by=by, baseline="zero", held_out=False)
    alone = behaviour.without_patches()
    usual, mean = (find(model, alone, by=by, held_out=False, **how) for how in ({}, {"baseline": "mean"}))
    assert usual.provenance["baseline"] == "mean"
    assert np.array_equal(usual.weight, mean.weight) and np.array_equal(usual.score, mean.score)
    assert np.isfinite(usual.score).all() and np.abs(usual.score).max() < 100


def test_edges_take_the_baseline_that_a_method_chose_by_itself() -> None:
    model = tiny_model("gpt2").through(random_dictionary("resid.0", 32), random_dictionary("resid.1", 32))
    behaviour = random_behaviour().without_patches()
    found = find(model, behaviour, by="integrated_gradients_inputs", held_out=False).top(20)
    wired, asked = (
        find(model, behaviour, found, by="edges", held_out=False, **how) for how in ({}, {"baseline": "mean"})
    )
    assert len(wired.weight) and np.array_equal(wired.weight, asked.weight)


def test_patch_means_are_means_of_the_patch_prompts() -> None:
    model, behaviour = view(), random_behaviour()
    (batch,) = behaviour.batches(model)
    codes = model.run(batch.patch, read=["resid.0"]).code("resid.0").mean(0)
    for node, mean in zip(
        attribution_patching(model, behaviour), attribution_patching(model, behaviour).patch_mean, strict=True
    ):
        if str(node.site) == "resid.0" and node.unit != ERROR:
            assert mean == pytest.approx(codes[node.position, node.unit].item())


def test_neurons_and_heads_go_the_same_way() -> None:
    model, behaviour = tiny_model("llama"), random_behaviour()
    neurons, heads = (attribution_patching(m, behaviour) for m in (model, model.heads()))
    assert {s.part for s in neurons.sites} == {"neuron"} and not (neurons.unit == ERROR).any()
    assert {s.part for s in heads.sites} == {"head"} and heads.unit.max() == 3
    (batch,) = behaviour.batches(model)
    clean, patch = model.run(batch.clean, read=["head.1"], grad=True), model.run(batch.patch, read=["head.1"])
    grad = next(iter(clean.gradients(-behaviour.metric(clean, batch).sum()).values()))
    by_hand = (grad * (patch["head.1"] - clean["head.1"])).detach().unflatten(-1, (4, -1)).sum(-1).mean(0)
    found = torch.zeros_like(by_hand)
    for node in heads:
        if node.site.layer == 1:
            found[node.position, node.unit] = node.score
    assert torch.allclose(found, by_hand, atol=1e-12)


class Counted:
    """How often the last block of a model has run."""

    def __init__(self, model: Model) -> None:
        self.runs = 0
        model.body.blocks[-1].register_forward_hook(self._count)

    def _count(self, *_: object) -> None:
        self.runs += 1

    def of(self, work: Callable[[], object]) -> int:
        """The runs of some work."""
        before = self.runs
        work()
        return self.runs - before


@pytest.mark.parametrize(
    ("by", "baseline"),
    [
        ("attribution_patching", "zero"),
        ("integrated_gradients", "mean"),
        ("integrated_gradients_inputs", "resample"),
    ],
)
def test_what_is_shared_is_what_would_be_computed(by: str, baseline: str) -> None:
    plain, behaviour = view(), random_behaviour(n=5)
    shared = plain.sharing()
    options = {"by": by, "baseline": baseline, "held_out": False}
    for positions in (True, False):
        one, other = (find(m, behaviour, **options, positions=positions) for m in (plain, shared))
        assert np.allclose(one.score, other.score, rtol=1e-9, atol=0) and one.keys() == other.keys()
    few = one.top(20)
    for examples in (None, 4):
        one, other = (find(m, behaviour, few, by="edges", examples=examples, held_out=False) for m in (plain, shared))
        assert len(one.weight) and np.allclose(one.weight, other.weight, rtol=1e-9, atol=0)
        assert (one.source == other.source).all() and (one.target == other.target).all()


def test_gradients_are_had_once_by_all_who_share() -> None:
    model, behaviour = view().sharing(), random_behaviour(n=6)
    counted, found = Counted(model), list[Circuit]()
    first = counted.of(lambda: found.append(find(model, behaviour, held_out=False)))
    assert first > 3
    assert not counted.of(lambda: find(model, behaviour, held_out=False, positions=False))
    assert counted.of(lambda: find(model, behaviour, found[0].top(9), by="edges", examples=4, held_out=False)) == 1
    lens = model.through(*[random_dictionary(str(s), 32, units=16) for s in model.dictionaries])
    assert not counted.of(lambda: find(lens, behaviour, held_out=False))


def test_nothing_is_shared_that_has_changed() -> None:
    model, behaviour = view().sharing(), random_behaviour(n=6)
    counted = Counted(model)

    def found(model: Model = model, behaviour: Behaviour = behaviour, **options: Any) -> Circuit:
        return find(model, behaviour, by="attribution_patching", held_out=False, **options)

    before = found()
    with torch.no_grad():
        model.body.module.get_output_embeddings().weight.mul_(2)
    assert counted.of(found) and np.allclose(found().score, 2 * before.score)
    edit = Scale("mlp.0", factor=0.5)
    for changed in (
        lambda: found(model.edited(edit)),
        lambda: found(behaviour=behaviour.with_metric("answer_logit")),
        lambda: found(behaviour=random_behaviour(n=6, seed=1)),
        lambda: found(baseline="zero"),
        lambda: found(model.through(random_dictionary("resid.0", 32))),
    ):
        assert counted.of(changed) and not counted.of(changed)
    dictionary = next(iter(model.dictionaries.values()))
    dictionary.b_dec += 1  # type: ignore[operator]
    assert counted.of(lambda: found(baseline="zero")) and not counted.of(found)


def test_a_metric_of_several_positions_has_them_in_every_run() -> None:
    @reading(logits=3)
    def spread(trace: Trace, batch: Batch) -> torch.Tensor:
        assert trace.logits is not None and trace.logits.shape[1] == 3
        return trace.logits[:, :, 7].sum(-1)

    model, behaviour = view(), random_behaviour().with_metric(spread)
    for method in (integrated_gradients, integrated_gradients_inputs, exact_patching):
        assert len(method(model, behaviour))
    verify(model, behaviour, attribution_patching(model, behaviour).top(5), held_out=False)


@pytest.mark.parametrize("positions", [True, False])
def test_edges_in_several_copies_are_those_in_one(positions: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    model, behaviour = view(), random_behaviour(n=4)
    circuit, found = attribution_patching(model, behaviour, positions=positions).top(40), list[Circuit]()
    for copies in (1, 3):
        monkeypatch.setattr(edging, "copies_for", lambda *_, copies=copies: copies)
        found.append(edging.edges(model, behaviour, circuit))
    one, several = found
    assert (one.source == several.source).all() and (one.target == several.target).all()
    assert np.allclose(one.weight, several.weight, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize(("turns", "tokens"), [([1], 8), ([7, 3, 30], 8), ([60] * 5, 2), ([12, 9], 200), ([], 8)])
def test_rows_never_cost_more_than_a_backward_pass_each(turns: list[int], tokens: int) -> None:
    copies = edging.copies_for(turns, tokens, 1024, 32)
    passes = sum((copies > 1) + -(-turn // copies) for turn in turns)
    assert passes * (32 + copies * tokens) <= sum(turns) * (32 + tokens)
    assert copies == 1 or copies * tokens <= 1024
