"""A model is a view: other bases and other edits of one module, and each refuses what it cannot mean."""

import pytest
import torch

from clew.changes import Edit, Scale, Set, Update
from clew.sites import Site
from tests.models.tiny import model_of, prompts, relu_dictionary

R1 = Site("resid", 1)


def test_text_is_run_as_its_tokens():
    model = model_of("llama")
    tokens, real = model.tokens(["the nurse said", "she"])
    assert tokens.tolist() == [[3, 5, 9], [0, 0, 11]] and real.tolist() == [[True] * 3, [False, False, True]]
    assert torch.equal(model.run(["the nurse said", "she"]).logits, model.run(tokens, real=real).logits)
    with pytest.raises(ValueError, match="nothing to run"):
        model.run([])
    with pytest.raises(ValueError, match="prompt 1"):
        model.run(["the", ""])


def test_views_share_the_module_and_leave_the_old_model_as_it_was():
    model = model_of("llama")
    edited = model.edited(Scale(Site("mlp", 0), factor=0.0))
    assert edited.body is model.body and model.edits == () and "1 edits" in repr(edited)
    assert not torch.equal(edited.run(prompts()).logits, model.run(prompts()).logits)
    assert [str(s) for s in model.dictionaries] == ["neuron.0", "neuron.1", "neuron.2"]
    assert [d.n_units for d in model.heads().dictionaries.values()] == [4, 4, 4]


def test_a_lens_that_does_not_fit_is_refused():
    model = model_of("llama")
    dictionary, wide = relu_dictionary(model, "resid.0"), relu_dictionary(model, "neuron.0")
    with pytest.raises(ValueError, match="two dictionaries write"):
        model.through(dictionary, dictionary)
    wide.reads = wide.writes = Site("resid", 0)
    with pytest.raises(ValueError, match=r"width 48 cannot sit at resid\.0, which is 32 wide"):
        model.through(wide)
    with pytest.raises(ValueError, match="comes before it"):
        model.through(relu_dictionary(model, "mlp.1", "mlp_in.1"))
    dictionary.W_enc[0, 0] = torch.nan
    with pytest.raises(ValueError, match="not finite"):
        model.through(dictionary)


def test_a_run_takes_edits_of_what_flows_only_and_a_prompt_within_its_columns():
    model = model_of("llama")
    with pytest.raises(ValueError, match=r"no edit of what flows; put it on by model\.edited"):
        model._checked([Update("down.0", left=torch.ones(32, 48))])
    for prompt in (0, -1, 5):
        with pytest.raises(ValueError, match="give 1 to all of them"):
            model.run(torch.tensor([[3, 4, 5, 6]]), prompt=prompt)


def test_an_edit_at_a_site_or_unit_that_is_not_there_is_refused():
    plain = model_of()
    model = plain.through(relu_dictionary(plain, "resid.1"))
    for edit, words in (
        (Scale(Site("resid", 3), factor=0.0), r"resid\.0 to resid\.2"),
        (Scale(R1, factor=0.0, units=(32,)), "names unit 32 at resid.1, which has 32 units"),
        (Scale(R1, factor=0.0, units=(48,), basis="code"), "which has 48 units"),
        (Scale(Site("mlp", 1), factor=0.0, basis="code"), r"seen through resid\.1"),
    ):
        with pytest.raises(ValueError, match=words):
            model.edited(edit)
        with pytest.raises(ValueError, match=words):
            model.run(prompts(), edits=[edit])


def test_a_head_cannot_be_held_at_one_number():
    with pytest.raises(ValueError, match="many coordinates"):
        model_of("llama").heads().edited(Set(Site("head", 1), value=torch.ones(1), basis="code", units=(2,)))


def test_another_lens_does_not_change_what_an_edit_of_units_means():
    model = model_of("llama")
    one, other = relu_dictionary(model, "resid.1"), relu_dictionary(model, "resid.1", units=24)
    edited = model.through(one).edited(Scale(R1, factor=0.0, basis="code", units=(5,)))
    for view in (lambda: edited.through(other), lambda: edited.neurons(), lambda: edited.heads()):
        with pytest.raises(ValueError, match=r"edit of units at resid\.1 is in force"):
            view()
    more = edited.through(one, relu_dictionary(model, "mlp.2"))
    assert torch.equal(more.run(prompts()).logits, edited.run(prompts()).logits)


def test_a_view_is_in_forward_order_whatever_the_order_given():
    model = model_of("gpt2")
    view = model.through(*(relu_dictionary(model, site) for site in ("resid.2", "mlp.0", "attn.1")))
    assert [str(site) for site in view.dictionaries] == ["mlp.0", "attn.1", "resid.2"]
    assert list(view.fingerprints) == ["mlp.0", "attn.1", "resid.2"] and repr(view).endswith("seen in 3 dictionaries)")
    assert view.fingerprints["mlp.0"] == view.dictionaries[Site("mlp", 0)].fingerprint != view.fingerprints["attn.1"]


def test_components_are_all_that_writes_into_the_stream_a_unit_each():
    view = model_of("llama").components()
    assert [(str(site), d.n_units) for site, d in view.dictionaries.items()] == [
        ("embed", 1), ("head.0", 4), ("mlp.0", 1), ("head.1", 4), ("mlp.1", 1), ("head.2", 4), ("mlp.2", 1),
    ]  # fmt: skip


def test_neurons_are_single_coordinates_of_the_sites_asked_for():
    model = model_of("llama")
    assert {str(s): d.n_units for s, d in model.neurons("resid.1").dictionaries.items()} == {"resid.1": 32}
    assert {d.n_units for d in model.neurons().dictionaries.values()} == {48}
    with pytest.raises(ValueError, match=r"it has no neurons; use model\.heads"):
        model.neurons("pattern.1")


def test_edits_come_one_by_one_or_in_stacks_and_stay_in_their_order():
    model = model_of("llama")
    a, b, c = (Scale(Site("mlp", i), factor=0.5) for i in range(3))
    assert model.edited(a, [b, c]).edits == (a, b, c) == model.edited([a]).edited([b], c).edits
    assert model.edited(a, b, c).undo(2).edits == (a,) and model.edited(a, b).unedited.edits == ()
    assert model.edited().edits == () and model.edited(a).undo(0).edits == (a,)


def test_undoing_more_than_there_is_is_refused():
    edited = model_of("llama").edited(Scale(R1, factor=0.5))
    for n in (-1, 2):
        with pytest.raises(ValueError, match=rf"undo\({n}\) of a model with 1 edits"):
            edited.undo(n)


def test_what_is_neither_at_a_site_nor_of_a_weight_is_no_edit_of_a_model():
    class Wish(Edit):
        def __call__(self, x: torch.Tensor) -> torch.Tensor:
            return x

    with pytest.raises(ValueError, match="a Wish is neither an edit at a site nor an update of a weight"):
        model_of("llama").edited(Wish("resid.1"))


def test_an_update_makes_a_body_of_its_own_and_undoing_it_gives_back_the_first():
    model = model_of("llama")
    edited = model.edited(Update("down.1", left=torch.ones(32, 48)), Scale(R1, factor=0.5))
    assert edited.body is not model.body and edited.bare is model.body and edited.unedited.body is model.body
    assert len(edited.activation_edits) == 1 and len(edited.edits) == 2
    assert edited.undo(1).edits == edited.edits[:1] and edited.undo(2).body is model.body


def test_no_rows_are_nothing_to_run():
    with pytest.raises(ValueError, match=r"tokens must be ids \[batch, seq\]; these are \(0, 3\)"):
        model_of("llama").run(torch.ones(0, 3, dtype=torch.long))


def test_a_promise_that_does_not_hold_is_asked_for_where_it_matters_and_nowhere_else():
    model, tokens = model_of("llama"), prompts()
    base, real = model.run(tokens, record=True), torch.ones_like(tokens, dtype=torch.bool)
    past = model.body.module(input_ids=tokens, use_cache=True).past_key_values
    real[0, 0] = False
    model.body.refused |= {name: f"no {name}" for name in ("padding", "resume", "cache", "edits")}
    for promise, work in {
        "padding": lambda: model.run(tokens, real=real),
        "resume": lambda: model.run(tokens, base=base),
        "cache": lambda: model.run(tokens, past=past),
        "edits": lambda: model.edited(Scale(R1, factor=0.5)),
    }.items():
        with pytest.raises(ValueError, match=f"no {promise}"):
            work()
    assert torch.equal(model.run(tokens).logits, base.logits)


def test_what_was_written_is_read_as_its_texts():
    made = model_of("llama").generate(["the nurse", "the"], max_new_tokens=2)
    assert str(made) == "\n".join(made.texts) and len(made.texts) == 2 and made.tokens.shape == (2, 4)
