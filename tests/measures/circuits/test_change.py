"""Change: a child that is its parent, one without a head, and one of coarser weights."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

import clew
from clew import Behaviour, Circuit, Model, Pair
from clew.measures.circuits.change import change
from clew.models.body import Body
from clew.report import Report, Row
from tests.models.tiny import WORDS, word_tokenizer
from tests.planted import random_behaviour, random_dictionary, tiny_model

MODEL, TASK = tiny_model("llama"), random_behaviour(n=16)
HEADS = MODEL.components()


def child_of(model: Model, edit) -> Model:
    """A plain model of a copy of the weights, edited in place."""
    module = deepcopy(model.body.module)
    with torch.no_grad():
        edit(module)
    return Model(Body(module, None, "child"))


def found(view: Model = HEADS, task: Behaviour = TASK, **options: object) -> Circuit:
    return clew.find(view, task, by="attribution_patching", positions=False, **options)


def rows(report: Report, measure: str) -> dict[str, Row]:
    return {row.of: row for row in report.rows if row.measure == measure}


def times(factor: float, *, layer: int, head: int):
    """Multiply what one head writes."""

    def edit(module) -> None:
        width = module.config.head_dim
        module.model.layers[layer].self_attn.o_proj.weight[:, head * width : (head + 1) * width] *= factor

    return edit


def rounded_to_8_bits(module) -> None:
    """Every matrix in 8 bits, one scale for each row."""
    for p in module.parameters():
        if p.ndim > 1:
            scale = p.abs().amax(1, keepdim=True) / 127
            p.copy_((p / scale).round() * scale)


def test_a_child_that_is_its_parent_has_not_changed():
    circuit = found().top(5)
    report = clew.verify(
        HEADS, TASK, circuit, by="change", child=child_of(MODEL, lambda module: None), sizes=[3, 8], groups=3
    )
    assert [r.value for r in report.rows if (r.measure, r.of) in (("overlap", "child"), ("correlation", "child"))] == [
        1, 1, pytest.approx(1)]  # fmt: skip
    assert report["changed nodes"].value == 0 == report["metric change"].value == report["metric change"].high
    assert not rows(report, "lost") and not rows(report, "gained")
    assert rows(report, "overlap")["halves, parent with parent"] == replace(
        rows(report, "overlap")["halves, parent with child"], of="halves, parent with parent")  # fmt: skip
    alone = clew.verify(HEADS, TASK, circuit)["faithfulness"].value
    assert [r.value for r in report.rows if r.measure == "faithfulness"] == pytest.approx([alone] * 4)


def planted() -> tuple[Model, Behaviour]:
    """A model in which one early head does nearly all that there is to do, and what it does on every prompt."""
    model = child_of(tiny_model("llama", scale=0.05), times(20, layer=0, head=2))
    answered = []
    (batch,) = TASK.batches(model)
    moved = model.run(batch.clean, logits=1).logits - model.run(batch.patch, logits=1).logits
    for pair, to, of in zip(
        TASK.pairs, moved[:, -1].argmax(-1).tolist(), moved[:, -1].argmin(-1).tolist(), strict=True
    ):
        answered.append(replace(pair, answers=(to,), patch_answers=(of,)))
    return model.heads(), replace(TASK, pairs=tuple(answered))


def test_a_head_that_is_pruned_is_what_is_lost():
    view, task = planted()
    circuit = found(view, task)
    assert circuit.top(1).keys() == [("head.0", 2, -1)]
    report = clew.verify(view, task, circuit, by="change", child=child_of(view, times(0, layer=0, head=2)), of="pruned")
    lost = next(r for r in report.rows if r.measure == "lost")
    assert lost.of == "head.0/2" and lost.value == pytest.approx(-circuit.top(1).score[0])
    assert lost.high < 0 and rows(report, "p")["head.0/2"].value < 0.05 and report["changed nodes"].value >= 1
    assert rows(report, "change")["pruned, layer 0"].high < 0 and rows(report, "overlap")["pruned"].value < 1


def test_the_metric_is_that_of_both_models_on_the_prompts_judged():
    child = child_of(MODEL, rounded_to_8_bits)
    report = change(HEADS, TASK, found(), child=child, sizes=[4], groups=1)
    metrics = []
    for model in (MODEL, child):
        (batch,) = TASK.test.batches(model)
        metrics.append(TASK.metric(model.run(batch.clean), batch).mean())
    assert [row.value for row in rows(report, "metric").values()] == pytest.approx([float(m) for m in metrics])
    assert report["metric change"].value == pytest.approx(float(metrics[1] - metrics[0]))
    assert not any("halves" in row.of for row in report.rows)  # of one group there are none


def test_of_one_behaviour_halves_of_the_prompts_agree_with_each_other_more_than_with_another_model():
    view, task = planted()
    report = change(view, task, found(view, task), child=child_of(view, times(-1, layer=0, head=2)), sizes=[1, 4])
    halves = rows(report, "correlation")
    assert halves["halves, parent with parent"].value > halves["halves, parent with child"].value


@pytest.mark.parametrize("edit", ["8 bits", "bfloat16"])
def test_rounding_leaves_the_circuit(edit):
    view, task = planted()
    child = child_of(view, rounded_to_8_bits if edit == "8 bits" else lambda m: m.bfloat16().double())
    report = change(view, task, found(view, task), child=child, of=edit, sizes=[4], groups=2)
    assert rows(report, "overlap")[edit].value == 1 and rows(report, "correlation")[edit].value > 0.9
    faithful = rows(report, "faithfulness")
    assert faithful[f"circuit given in {edit}"].value == pytest.approx(
        faithful["circuit given in parent"].value, abs=0.05
    )


def test_changes_of_layers_are_those_of_the_searches():
    child = child_of(MODEL, rounded_to_8_bits)
    report = change(HEADS, TASK, found(), child=child, sizes=[4], groups=3)
    layers = rows(report, "change")
    assert list(layers) == ["child, embed", "child, layer 0", "child, layer 1", "child, layer 2"]
    wanted = found(child.components()).score.sum() - found().score.sum()
    assert sum(r.value for r in layers.values()) == pytest.approx(wanted)
    assert any("with 3 groups no p can be below 0.25" in note for note in report.notes)


def test_a_dictionary_that_does_not_fit_the_child_is_left_out_in_both():
    view = MODEL.through(random_dictionary("resid.0", 32), random_dictionary("neuron.1", 48))
    child = tiny_model("llama", intermediate_size=40)
    report = change(view, TASK, found(view), child=child, sizes=[4], groups=2)
    assert report.notes[0] == "left out in both, for they do not fit the child: neuron.1"
    assert not any(row.of.startswith("neuron.1/") for row in report.rows)
    with pytest.raises(ValueError, match="none of the sites"):
        change(MODEL.neurons(), TASK, found(MODEL.neurons()), child=child)


def test_a_wired_circuit_is_compared_by_edges_too():
    circuit = found().top(8)
    wired = clew.find(HEADS, TASK, circuit, by="edges")
    report = change(HEADS, TASK, wired, child=child_of(MODEL, lambda module: None), sizes=[5], groups=1)
    assert report["edge overlap"].value == 1 == pytest.approx(report["edge correlation"].value)


def test_scores_that_are_no_means_over_prompts_are_pointed_out():
    def summed(model: Model, behaviour: Behaviour) -> Circuit:
        circuit = found(model, behaviour, held_out=False)
        return replace(circuit, score=circuit.score * len(behaviour))

    report = change(HEADS, TASK, found(), child=child_of(MODEL, rounded_to_8_bits), search=summed, sizes=[4], groups=2)
    assert any("are not the mean over groups" in note for note in report.notes)


def test_other_tokens_and_no_groups_are_refused():
    with pytest.raises(ValueError, match="groups=0"):
        change(HEADS, TASK, found(), child=MODEL, groups=0)
    with pytest.raises(ValueError, match="call the child otherwise"):
        change(HEADS, TASK, found(), child=MODEL, of="parent")
    words = Behaviour(
        "words", (Pair("the nurse", "the king", " said", " was"), Pair("a man", "a woman", " said", " was")) * 2
    )
    backwards = Tokenizer(
        models.WordLevel({word: 90 - i for i, word in enumerate(["<unk>", *WORDS])}, unk_token="<unk>")
    )
    backwards.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizers = word_tokenizer(), PreTrainedTokenizerFast(tokenizer_object=backwards, unk_token="<unk>")
    parent, child = (Model(Body(MODEL.body.module, tokenizer, "llama")) for tokenizer in tokenizers)
    with pytest.raises(ValueError, match="are other tokens to"):
        change(parent, words, found(HEADS).top(1), child=child)


def test_a_tokenizer_that_makes_other_lengths_of_the_prompts_is_refused_too():
    pairs = Pair("the nurse", "the king", " said", " was"), Pair("a man ran", "a woman ran", " said", " was")
    coarse = Tokenizer(models.WordLevel({"<unk>": 0, " said": 1, " was": 2}, unk_token="<unk>"))
    coarse.pre_tokenizer = pre_tokenizers.Split(Regex(" (said|was)$"), "isolated")  # all before the answer is one token
    tokenizers = word_tokenizer(), PreTrainedTokenizerFast(tokenizer_object=coarse, unk_token="<unk>")
    parent, child = (Model(Body(MODEL.body.module, tokenizer, "llama")) for tokenizer in tokenizers)
    words = Behaviour("words", pairs)
    assert [len(list(words.batches(model))) for model in (parent, child)] == [2, 1]
    with pytest.raises(ValueError, match="are other tokens to"):
        change(parent, words, found(HEADS).top(1), child=child, held_out=False)


def test_an_edge_circuit_is_judged_by_its_edges_in_both_models():
    circuit = clew.find(MODEL, TASK, by="eap").strongest_edges(15)
    same = child_of(MODEL, lambda module: None)
    report = change(MODEL, TASK, circuit, child=same, sizes=[5], groups=1)
    assert report["edge overlap"].value == 1
    assert {(r.nodes, r.unit) for r in rows(report, "faithfulness").values()} == {(15, "edge")}
    assert len({round(r.value, 9) for r in rows(report, "faithfulness").values()}) == 1
