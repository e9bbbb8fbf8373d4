"""Top tokens: the strongest places of a text, found by looking at all of them, and the tokens a row promotes."""

import sys

import torch

import clew
from clew.data.text.texts import windows
from clew.dictionaries import ReLU
from clew.explain.top_tokens import top_tokens
from clew.methods.edges.eap import eap
from clew.methods.nodes.attribution_patching import attribution_patching
from tests.models.tiny import model_of, relu_dictionary
from tests.planted import random_behaviour

TEXTS = ["the nurse said that she was not very good . The old king and the red queen said that he was good ."] * 2


def test_top_tokens_are_where_the_unit_fires_most() -> None:
    model = model_of()
    view = model.through(relu_dictionary(model, "resid.1"))
    circuit = attribution_patching(view, random_behaviour(vocab=29)).top(6)
    shown = top_tokens(view, circuit, TEXTS, n=3, context=12).details
    rows = list(windows(TEXTS, lambda text: model.tokenizer(text)["input_ids"], 12))
    for node in (n for n in circuit if n.unit >= 0):
        places = [
            (float(v), row[1 + p])
            for row in rows
            for p, v in enumerate(view.run(torch.tensor([row]), read=["resid.1"]).code("resid.1")[0, 1:, node.unit])
        ]
        address = node.address.partition("@")[0]
        best, token = max(places)
        if best > 0:
            assert shown["top_tokens"][address][0] == model.tokenizer.decode([token])
            assert f"«{model.tokenizer.decode([token])}»" in shown["examples"][address][0]
        else:
            assert shown["top_tokens"][address] == []


def test_promoted_tokens_are_read_through_the_last_norm_and_the_unembedding() -> None:
    model = model_of()
    view = model.through(relu_dictionary(model, "resid.1"))
    circuit = attribution_patching(view, random_behaviour(vocab=29)).top(3)
    node = next(n for n in circuit if n.unit >= 0)
    row = view.dictionaries[node.site].W_dec[node.unit]
    module = model.body.module
    by_hand = module.lm_head(module.model.norm(row)).argmax().item()
    shown = top_tokens(view, circuit, TEXTS, n=2).details["promotes"]
    assert shown[node.address.partition("@")[0]][0] == model.tokenizer.decode([by_hand])


def test_suppressed_tokens_are_what_the_negative_direction_promotes() -> None:
    model = model_of()
    view = model.through(old := relu_dictionary(model, "resid.1"))
    tensors = {"W_enc": old.W_enc, "b_enc": old.b_enc, "W_dec": -old.W_dec, "b_dec": old.b_dec}
    back = model.through(ReLU("resid.1", centred=False, **tensors))
    circuit = attribution_patching(view, random_behaviour(vocab=29)).top(3)
    here, there = (top_tokens(one, circuit, TEXTS, n=2).details for one in (view, back))
    assert here["suppresses"] == there["promotes"] and here["promotes"] == there["suppresses"]
    assert here["suppresses"] and all(here["suppresses"].values()) and here["promotes"] != here["suppresses"]


def unit_of(view: clew.Model, address: str) -> clew.Circuit:
    """A circuit of one unit of a view."""
    found = attribution_patching(view, random_behaviour(vocab=29), positions=False)
    return found[address]


def test_a_neuron_promotes_what_its_column_of_the_output_projection_does() -> None:
    model = model_of()
    view = model.neurons("neuron.1")
    shown = top_tokens(view, unit_of(view, "neuron.1/5"), TEXTS, n=2).details["promotes"]
    module = model.body.module
    column = module.model.layers[1].mlp.down_proj.weight[:, 5]
    best = module.lm_head(module.model.norm(column)).topk(2).indices.tolist()
    assert shown["neuron.1/5"] == [model.tokenizer.decode([token]) for token in best]


def test_a_head_promotes_what_it_writes_where_it_writes_most() -> None:
    model = model_of()
    shown = top_tokens(model.heads(), unit_of(model.heads(), "head.1/2"), TEXTS, n=1).details
    tokens = torch.tensor([model.tokenizer(TEXTS[0])["input_ids"]])
    width = model.body.widths[clew.Site("head", 1)] // model.body.n_heads
    held = model.run(tokens, read=["head.1"])["head.1"][0, 1:, 2 * width : 3 * width]
    place = int(held.abs().sum(-1).argmax())
    module = model.body.module
    written = module.model.layers[1].self_attn.o_proj.weight[:, 2 * width : 3 * width] @ held[place]
    best = module.lm_head(module.model.norm(written)).argmax()
    assert shown["promotes"]["head.1/2"] == [model.tokenizer.decode([best])]
    assert shown["top_tokens"]["head.1/2"][0] == model.tokenizer.decode([tokens[0, 1 + place]])


def test_what_a_shift_of_the_norm_raises_anyway_is_promoted_by_no_unit() -> None:
    model = model_of("gpt2")
    with torch.no_grad():
        model.body.module.transformer.ln_f.bias.copy_(100 * model.body.module.lm_head.weight[7])
    view = model.through(relu_dictionary(model, "resid.1"))
    circuit = attribution_patching(view, random_behaviour(vocab=29), positions=False).top(8)
    promoted = top_tokens(view, circuit, TEXTS, n=1).details["promotes"].values()
    assert len({row[0] for row in promoted}) > 1


def test_components_are_told_of_and_what_reads_the_stream_is_left_out() -> None:
    model = model_of()
    behaviour = random_behaviour(vocab=29)
    shown = top_tokens(model, eap(model, behaviour).strongest_edges(40).wired(), behaviour.prompts()).details
    parts = {address.partition(".")[0] for address in shown["top_tokens"]}
    assert {"head", "mlp"} <= parts <= {"head", "mlp", "embed/0"}
    assert all(shown["promotes"][address] for address in shown["promotes"])


def test_prompts_in_token_ids_are_read_and_equal_ones_once() -> None:
    model = model_of()
    view, behaviour = model.through(relu_dictionary(model, "resid.1")), random_behaviour(vocab=29)
    circuit = attribution_patching(view, behaviour).top(20)
    shown = top_tokens(view, circuit, [*behaviour.prompts(), *behaviour.prompts()]).details
    assert shown == top_tokens(view, circuit, behaviour.prompts()).details
    assert shown["read"] == sum(map(len, set(behaviour.prompts())))
    assert all(len(set(passages)) == len(passages) for passages in shown["examples"].values())


def test_a_unit_that_was_read_and_did_not_fire_has_an_empty_list_and_an_error_none() -> None:
    model = model_of()
    view = model.through(relu_dictionary(model, "resid.1"))
    circuit = attribution_patching(view, random_behaviour(vocab=29)).top(20)
    assert (circuit.unit < 0).any()
    shown = top_tokens(view, circuit, []).details
    assert set(map(tuple, shown["top_tokens"].values())) == {()} and shown["read"] == 0
    assert not any("error" in address for address in shown["top_tokens"])


def test_of_many_nodes_the_strongest_are_looked_at(monkeypatch) -> None:
    monkeypatch.setattr(sys.modules["clew.explain.top_tokens"], "MOST", 5)
    view = model_of().neurons("resid.1")
    circuit = attribution_patching(view, random_behaviour(vocab=29))
    looked = {node.address.partition("@")[0] for node in circuit.top(5)}
    assert set(top_tokens(view, circuit, TEXTS[:1]).details["top_tokens"]) == looked
