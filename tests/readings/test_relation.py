"""Linear relations: tangents against differences, the identities that theory promises, and a linear toy recovered."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

import clew
from clew.changes import Add
from clew.data.facts.everyday import facts
from clew.data.facts.facts import Fact, Facts
from clew.models import Model
from clew.readings.readout import Readout
from clew.readings.relation import Tangent, decoded, fit
from clew.sites import Site, Where
from tests.models.tiny import model_of

F64 = torch.float64
R0 = Site("resid", 0)
SAID = Facts("said", tuple(Fact("the {} said", who, "good", old) for who, old in
             (("nurse", "she"), ("old king", "he"), ("queen", "was"), ("doctor", "not"))))  # fmt: skip


def linear_toy() -> Model:
    """A model of which every block above the first adds nothing but a matrix times the stream: MLPs and heads are shut."""
    model = model_of("gpt2", F64)
    with torch.no_grad():
        for layer in (1, 2):
            for part in ("out", "down"):
                owner = model.body.linear(f"{part}.{layer}").owner
                owner.get_parameter("weight").zero_()
                owner.get_parameter("bias").fill_(0.25 * layer)
    return model


def rows(n: int, seed: int = 0) -> Tensor:
    return torch.randn(n, 32, dtype=F64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma3_text"])
@pytest.mark.parametrize("to", ["resid.2", "final"])
def test_products_are_those_of_central_differences(family: str, to: str) -> None:
    model = model_of(family, F64)
    tangent = Tangent.of(model, SAID[1], "", R0, model.body.site(to))
    step = 1e-3 * tangent.s.norm() / 32**0.5
    ends = []
    for sign in (1, -1):
        nudge = Add(R0, vector=sign * step * rows(5)[:, None], where=Where.at(tangent.position))
        ends.append(model.run(tangent.base.tokens.repeat(5, 1), read=[to], edits=[nudge], logits=0)[to][:, -1])
    difference = (ends[0] - ends[1]) / (2 * step)
    pushed = tangent.push(rows(5))
    assert float((pushed - difference).norm() / difference.norm()) < 1e-3
    u = rows(4, seed=1)
    assert torch.allclose(tangent.pull(u) @ rows(5).T, u @ pushed.T, rtol=1e-5, atol=1e-6 * float(pushed.norm()))


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma3_text"])
def test_products_from_the_subject_on_are_those_of_the_whole_prompt(family: str) -> None:
    model, seen = model_of(family, F64), []
    before = "the old nurse said that she was good . "
    idle = model.edited(
        Add("resid.0", vector=torch.zeros(32, dtype=F64))
    )  # with edits in force the prompt is run whole
    for one in (model, idle):
        tangent = Tangent.of(one, SAID[1], before, R0, one.body.site("resid.2"))
        seen.append(
            (tangent.pull(rows(4)), tangent.push(rows(4)), tangent._tail.trace.tokens.shape[1], tangent.position)
        )
    (pulled, pushed, short, position), (whole, across, long, _) = seen
    assert torch.allclose(pulled, whole, rtol=1e-9, atol=1e-12) and torch.allclose(
        pushed, across, rtol=1e-9, atol=1e-12
    )
    assert short == long - position == 2


def test_one_example_at_beta_1_gives_its_own_answer() -> None:
    model = model_of("llama", F64)
    relation = fit(model, SAID.pick([1]), layer=0, shots=False)
    s, z = relation.read(model, SAID.pick([1]))
    assert torch.allclose(relation(s), z, atol=1e-9 * float(z.abs().max()))
    stretched = replace(relation, beta=2.0)
    assert torch.allclose(stretched(s) - relation(s), relation(s) - relation.bias, atol=1e-9)


def test_it_is_the_mean_of_the_tangents_of_the_examples() -> None:
    model = model_of("gpt2", F64)
    each = [fit(model, SAID.pick([i]), layer=0, shots=False) for i in range(4)]
    whole = fit(model, SAID, layer=0, shots=False)
    dense = lambda r: r.u * r.size @ r.v.T  # noqa: E731
    assert torch.allclose(dense(whole), torch.stack([dense(r) for r in each]).mean(0), atol=1e-9)
    assert torch.allclose(whole.bias, torch.stack([r.bias for r in each]).mean(0), atol=1e-9)


def test_a_linear_model_is_recovered() -> None:
    model, last = linear_toy(), Facts("last", tuple(replace(f, prompt="the {}") for f in SAID))
    relation = fit(model, last, layer=0, shots=False)
    assert torch.allclose(relation.u * relation.size @ relation.v.T, torch.eye(32, dtype=F64), atol=1e-10)
    assert torch.allclose(relation.bias, torch.full((32,), 1.5, dtype=F64), atol=1e-10)  # 2 · (0.25 + 0.5)
    s, z = relation.read(model, last)
    assert torch.allclose(relation(s), z, atol=1e-10)


def test_the_full_inverse_undoes_the_map_and_a_low_one_is_the_best_of_its_rank() -> None:
    relation = fit(model_of("llama", F64), SAID.first(2), layer=0)
    dz = rows(3)
    there = replace(relation, bias=torch.zeros(32, dtype=F64))
    assert torch.allclose(there(relation.inverse(dz)), dz, atol=1e-8)
    within = dz @ relation.u[:, :5] @ relation.u[:, :5].T
    assert torch.allclose(there(relation.inverse(dz, 5)), within, atol=1e-8)


def test_a_few_singular_vectors_are_found_without_the_jacobian() -> None:
    model = model_of("llama", F64)
    two = SAID.first(2)
    whole, few = fit(model, two, layer=0), fit(model, two, layer=0, rank=5)
    assert few.u.shape == (32, 5) and torch.allclose(few.size, whole.size[:5], rtol=0.02)
    assert torch.allclose(few.bias, whole.bias, atol=1e-5 * float(whole.bias.norm()))
    every = fit(model, two, layer=0, rank=32)
    s = whole.read(model, SAID)[0]
    assert torch.allclose(every(s), whole(s), atol=1e-5 * float(whole(s).norm()))


def test_examples_are_shown_before_the_prompt() -> None:
    model = model_of("llama", F64)
    relation = fit(model, SAID, layer=0, rank=2)
    assert relation.before.splitlines()[:2] == ["the nurse said she", "the old king said he"]
    s, _ = relation.read(model, SAID.pick([1]))
    shown = model.run(relation.before + SAID[1].asked, read=["resid.0"], logits=0)["resid.0"][0, -2]
    assert torch.equal(s[0], shown)


@pytest.mark.parametrize("to", ["resid.2", "final"])
def test_an_answer_is_decoded_as_the_model_itself_does(to: str) -> None:
    model = model_of("llama", F64)
    z, logits = model.run("the nurse said", read=[to])[to][:, -1], model.run("the nurse said", logits=1).logits
    assert logits is not None and torch.allclose(decoded(model, Site.parse(to), z), logits[:, -1], atol=1e-4)


def test_faithful_is_to_decode_to_the_first_token_of_the_answer() -> None:
    model = model_of("llama", F64)
    she = 1e4 * Readout.of(model).towards(model.tokenizer("she")["input_ids"][0])
    says_she = replace(fit(model, SAID.pick([0]), layer=0, rank=1), bias=she)
    assert says_she.faithful(model, SAID).tolist() == [True, False, False, False]


def test_what_is_no_relation_is_refused() -> None:
    model = model_of("llama", F64)
    mixed = Facts("mixed", (SAID[0], replace(SAID[1], prompt="a {} said")))
    bare = Facts("bare", (replace(SAID[0], old=""),))
    with pytest.raises(ValueError, match="asks in 2 ways"):
        fit(model, mixed, layer=0)
    with pytest.raises(ValueError, match="has no `old` answer"):
        fit(model, bare, layer=0)
    with pytest.raises(ValueError, match="read after the subject"):
        fit(model, SAID, layer=2)
    with pytest.raises(ValueError, match=r"not at mlp.2"):
        fit(model, SAID, layer=0, to="mlp.2")
    with pytest.raises(ValueError, match="the stream is 32 wide"):
        fit(model, SAID, layer=0, rank=33)
    with pytest.raises(ValueError, match="known by 3 singular vectors"):
        fit(model, SAID.first(1), layer=0, rank=3).inverse(rows(1), 4)


@pytest.mark.real
def test_the_capitals_of_a_pretrained_model_are_nearly_linear() -> None:
    """Four examples, no prompt but the question: 12 of 15 known capitals when this was written, 5 of 15 at beta 1."""
    model = clew.open("smollm2-135m")
    capitals = facts(30, model=model, relation="capital")
    asked = Facts("capitals", tuple(replace(f, prompt="The capital of {} is") for f in capitals))
    relation = fit(model, asked.first(4), layer=12, rank=32, beta=2.0, shots=False)
    known = asked.pick(range(4, 24)).known(model)
    assert float(relation.faithful(model, known).double().mean()) > 0.6
