"""Steering on SmolLM2: heads that pull towards memory and context, and runs that padding and caches do not change."""

import pytest
import torch

import clew
from clew.sites import Where

pytestmark = pytest.mark.real

FACTORS = (-3.0, 0.0, 1.0, 3.0, 6.0)
TRIPLES = [("France", "Paris", "Rome"), ("Italy", "Rome", "Berlin"), ("Germany", "Berlin", "London"),
           ("England", "London", "Beijing"), ("China", "Beijing", "Cairo"), ("Egypt", "Cairo", "Paris")]  # fmt: skip
TEXTS = (["I love this film", "What a joy to see", "The best day", "Wonderful"],
         ["I hate this film", "What a pain to see", "The worst day", "Terrible"])  # fmt: skip
PROMPTS = ["The film was", "I went to the cinema last night, and when it was over", "Tea"]


@pytest.fixture(scope="module")
def smollm() -> clew.Model:
    return clew.open("smollm2-135m")


@pytest.fixture(scope="module")
def steered(smollm: clew.Model) -> clew.Model:
    """A vector at every position, a gated one, and a head turned down."""
    happy = clew.edit(smollm, TEXTS, by="mean_difference", steer=clew.Steer(scale=2.0))
    gated = clew.edit(
        smollm, TEXTS, by="probe_gated", sites=["resid.18"], threshold=0.0, steer=clew.Steer(Where("every"), scale=1.0)
    )
    return smollm.edited(happy, gated, clew.edit(smollm, by="scale_head", layer=23, head=1, factor=0.2))


def context_over_memory(model: clew.Model, head: int, factor: float) -> float:
    """Mean logit difference between the false capital that the prompt names and the true one."""
    prompts = [
        f"The capital of {x} is {false}. Q: What is the capital of {x}? A: The capital of {x} is"
        for x, _, false in TRIPLES
    ]
    tokens, real = model.tokens(prompts)
    edits = clew.edit(model, by="scale_head", layer=23, head=head, factor=factor)
    logits = model.run(tokens, real=real, logits=1, edits=list(edits)).logits[:, 0]
    ids = torch.tensor([[model.tokenizer(" " + city)["input_ids"][0] for city in pair] for _, *pair in TRIPLES])
    memory, context = logits.gather(1, ids).T
    return float((context - memory).mean())


def test_one_head_pulls_towards_memory_and_one_towards_the_context(smollm: clew.Model) -> None:
    """As Yu et al. 2023 found in larger models. For a few countries (Spain, Japan) the first turns back beyond 3."""
    memory, context = ([context_over_memory(smollm, head, factor) for factor in FACTORS] for head in (4, 1))
    assert memory == sorted(memory, reverse=True) and context == sorted(context)
    assert memory == pytest.approx([8.28, 2.29, -2.03, -6.50, -7.01], abs=0.1)
    assert context == pytest.approx([-4.46, -2.40, -2.03, -1.33, -0.15], abs=0.1)


def test_padding_changes_nothing_under_edits(smollm: clew.Model, steered: clew.Model) -> None:
    tokens, real = steered.tokens(PROMPTS)
    together = steered.run(tokens, real=real, logits=1).logits[:, 0]
    alone = torch.cat([steered.run(prompt, logits=1).logits[:, 0] for prompt in PROMPTS])
    assert (
        (together - alone).abs().max()
        < 1e-3
        < 1
        < (alone - smollm.run(tokens, real=real, logits=1).logits[:, 0]).abs().max()
    )


def test_the_cache_changes_nothing_under_edits(steered: clew.Model) -> None:
    written = steered.generate(PROMPTS, max_new_tokens=12)
    assert torch.equal(written.tokens, steered.generate(PROMPTS, max_new_tokens=12, use_cache=False).tokens)
    assert 0 < written.receipts[1].fired < written.receipts[1].reached
