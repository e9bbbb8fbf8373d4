"""Generating: edits are in force at every step, with and without a cache."""

import html

import pytest
import torch
from transformers import GenerationConfig

from clew.changes import Add, Scale
from clew.models import EditDidNotFire, Model
from clew.sites import EVERY, PROMPT, RESPONSE, Site, Where
from tests.models.tiny import model_of, relu_dictionary

FAMILIES = ["llama", "gpt2", "gemma3_text", "bloom", "opt", "falcon"]
PROMPTS = ["the nurse said that", "the old king", "a very good woman said"]
WHERES = [EVERY, PROMPT, RESPONSE, Where.at(-1), Where.at(0, 5), Where("token", (3, 9, 11))]
SOME = Add(Site("resid", 1), vector=torch.linspace(-4, 4, 32))


def by_hand(model: Model, prompt: str, steps: int) -> list[int]:
    """Greedy decoding by whole runs; the model's edits are told where the prompt ends by hand."""
    tokens, _ = model.tokens(prompt)
    end = tokens.shape[1]
    for _ in range(steps):
        column, (edit,) = torch.arange(tokens.shape[1]), model.edits
        here = column[edit.where.mask(tokens, torch.ones_like(tokens, dtype=torch.bool), end)[0]].tolist()
        edits = [Add(edit.at, vector=edit.vector, where=Where.at(*here))] if here else []
        logits = Model(model.body, model.view).run(tokens, edits=edits).logits
        tokens = torch.cat([tokens, logits[:, -1:].argmax(-1)], dim=1)
    return tokens[0].tolist()


def quiet(family: str) -> Model:
    model = model_of(family)
    model.body.module.generation_config.eos_token_id = None
    return model


@pytest.mark.parametrize("family", FAMILIES)
def test_without_edits_it_is_what_transformers_generates(family):
    model = quiet(family)
    tokens, real = model.tokens(PROMPTS)
    theirs = model.body.module.generate(
        input_ids=tokens, attention_mask=real.long(), max_new_tokens=6, do_sample=False, pad_token_id=0
    )
    assert torch.equal(model.generate(PROMPTS, max_new_tokens=6).tokens, theirs)


@pytest.mark.parametrize("where", WHERES, ids=str)
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_edits_are_in_force_at_every_step_as_in_whole_runs(family, where):
    model = quiet(family).edited(Add(SOME.at, vector=SOME.vector, where=where))
    expected = by_hand(model, PROMPTS[0], 6)
    for use_cache in (True, False):
        assert model.generate(PROMPTS[0], max_new_tokens=6, use_cache=use_cache).tokens[0].tolist() == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_the_cache_and_the_batch_change_nothing(family):
    model = quiet(family).edited(SOME, Scale(Site("attn", 2), factor=0.3, where=RESPONSE))
    together = model.generate(PROMPTS, max_new_tokens=6)
    assert torch.equal(together.tokens, model.generate(PROMPTS, max_new_tokens=6, use_cache=False).tokens)
    alone = [model.generate(p, max_new_tokens=6).texts[0] for p in PROMPTS]
    assert list(together.texts) == alone and str(together) == "\n".join(alone)
    assert all(text.startswith(prompt) for text, prompt in zip(alone, PROMPTS, strict=True))


def test_a_window_shorter_than_the_text_changes_nothing_for_edits():
    model = quiet("mistral").edited(Add(SOME.at, vector=SOME.vector, where=RESPONSE))
    expected = by_hand(model, PROMPTS[0], 8)
    assert model.generate(PROMPTS[0], max_new_tokens=8).tokens[0].tolist() == expected


@pytest.mark.parametrize("use_cache", [True, False])
def test_edits_of_patterns_and_units_are_in_force(use_cache):
    model = quiet("llama")
    view = model.through(relu_dictionary(model, "mlp_in.1", "mlp.1"))
    edited = view.edited(
        Scale(Site("pattern", 0), factor=0.2), Scale(Site("mlp", 1), factor=5.0, basis="code", units=tuple(range(20)))
    )
    tokens, _ = model.tokens(PROMPTS[0])
    for _ in range(5):
        tokens = torch.cat([tokens, edited.run(tokens).logits[:, -1:].argmax(-1)], dim=1)
    written = edited.generate(PROMPTS[0], max_new_tokens=5, use_cache=use_cache)
    assert torch.equal(written.tokens, tokens) and not torch.equal(
        written.tokens, model.generate(PROMPTS[0], max_new_tokens=5).tokens
    )


def test_receipts_count_steps_and_positions():
    model = quiet("llama")
    edits = [Scale(Site("resid", 1), factor=1.0, where=w) for w in (EVERY, PROMPT, RESPONSE)]
    cached = model.edited(edits).generate(PROMPTS[:2], max_new_tokens=4).receipts  # 4 and 3 tokens, then 3 calls on one
    assert [(r.calls, r.fired) for r in cached] == [(4, 7 + 6), (4, 7), (4, 6)]
    whole = model.edited(edits).generate(PROMPTS[0], max_new_tokens=3, use_cache=False).receipts
    assert [(r.calls, r.fired) for r in whole] == [(3, 4 + 5 + 6), (3, 12), (3, 1 + 2)]


@pytest.mark.parametrize(
    "unasked",
    [
        {"repetition_penalty": 5.0},
        {"no_repeat_ngram_size": 1},
        {"suppress_tokens": list(range(3, 50))},
        {"do_sample": True, "temperature": 9.0},
        {"max_length": 5, "min_new_tokens": 9},
    ],
    ids=str,
)
def test_greedy_is_the_largest_logit_whatever_came_with_the_weights(unasked):
    model = quiet("llama")
    expected, there = by_hand(model.edited(SOME), PROMPTS[0], 6), model.body.module.generation_config
    for name, value in unasked.items():
        setattr(there, name, value)
    said = there.to_dict()
    assert model.edited(SOME).generate(PROMPTS[0], max_new_tokens=6).tokens[0].tolist() == expected
    assert model.body.module.generation_config is there and there.to_dict() == said


@pytest.mark.parametrize("asked", [{"repetition_penalty": 5.0}, {"suppress_tokens": list(range(3, 50))}], ids=str)
def test_what_is_asked_for_is_done(asked):
    model = quiet("llama").edited(SOME)
    plain = model.generate(PROMPTS[0], max_new_tokens=6).tokens
    for options in (asked, {"generation_config": GenerationConfig(**asked)}):
        assert not torch.equal(model.generate(PROMPTS[0], max_new_tokens=6, **options).tokens, plain)


def test_a_text_ends_where_the_weights_say_it_does():
    model = quiet("llama")
    written = model.generate(PROMPTS[0], max_new_tokens=6).tokens[0].tolist()
    model.body.module.generation_config.eos_token_id = [0, written[6]]
    assert model.generate(PROMPTS[0], max_new_tokens=6).tokens[0].tolist() == written[:7]


def test_the_whole_length_may_be_said():
    model = quiet("llama")
    assert model.generate(PROMPTS[0], max_length=9).tokens.shape == (1, 9)
    assert model.generate(PROMPTS[0]).tokens.shape == (1, 24)


def test_an_edit_that_never_fires_in_a_generation_is_an_error():
    with pytest.raises(EditDidNotFire, match=r"add at resid\.1"):
        model_of("llama").edited(Add(SOME.at, vector=SOME.vector, where=Where.at(50))).generate(
            "the nurse", max_new_tokens=3
        )


def test_sampling_options_are_passed_on():
    model = quiet("llama")
    tokens, real = model.tokens(PROMPTS[0])
    options = {"do_sample": True, "temperature": 5.0, "top_k": 20, "max_new_tokens": 8}
    torch.manual_seed(3)
    theirs = model.body.module.generate(input_ids=tokens, attention_mask=real.long(), pad_token_id=0, **options)
    torch.manual_seed(3)
    assert torch.equal(model.generate(PROMPTS[0], **options).tokens, theirs)
    assert not torch.equal(model.generate(PROMPTS[0], max_new_tokens=8).tokens, theirs)


@pytest.mark.parametrize("option", ["num_beams", "num_return_sequences"])
def test_several_texts_for_one_prompt_are_refused(option):
    with pytest.raises(ValueError, match=f"{option}=2"):
        model_of("llama").generate("the nurse", **{option: 2})


def test_a_promise_that_does_not_hold_is_refused():
    model = model_of("llama")
    model.body.refused["cache"] = "Generate with use_cache=False"
    with pytest.raises(ValueError, match="use_cache=False"):
        model.generate("the nurse")
    assert model.generate("the nurse", use_cache=False, max_new_tokens=2).texts
    model.body.refused["padding"] = "Prompts of different length must be run one length at a time"
    with pytest.raises(ValueError, match="one length at a time"):
        model.generate(PROMPTS, use_cache=False)


def test_what_was_written_shows_its_text_and_no_tensor():
    written = model_of("gpt2").edited([Scale("resid.1", factor=2.0)]).generate(PROMPTS[0], max_new_tokens=2)
    assert repr(written) == "\n".join([repr(written.texts[0]), *map(repr, written.receipts)])
    assert "tensor" not in repr(written) and "scale at resid.1" in repr(written)


def test_in_a_notebook_what_was_written_is_its_texts_and_what_edits_did():
    written = model_of("gpt2").edited([Scale("resid.1", factor=2.0)]).generate(PROMPTS, max_new_tokens=2)
    shown = written._repr_html_()
    assert all(html.escape(text) in shown for text in written.texts) and str(written.receipts[0]) in shown
    assert written.to_frame()["fired"].tolist() == [written.receipts[0].fired]
