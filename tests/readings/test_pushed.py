"""What an addition does to the next token: by hand in one run, at equal divergence, on either side, nothing of nothing."""

import numpy as np
import pytest
import torch

from clew.changes import Add
from clew.data.predicates import Table
from clew.firings import Fired, Held
from clew.models import Model
from clew.readings.pushed import MANY, WITHIN, Contexts, contexts_of, row_of
from clew.readings.readout import Readout
from clew.readings.unseen import UNSEEN, Unseen
from clew.sites import Where
from tests.models.tiny import WORDS, model_of, prompts, relu_dictionary

F64 = torch.float64


def contexts(model: Model | None = None, n: int = 4) -> Contexts:
    return Contexts(model_of(dtype=F64) if model is None else model, prompts(n, 6))


def rows(n: int, width: int = 32) -> torch.Tensor:
    return torch.randn(n, width, dtype=F64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("site", ["embed", "resid.0", "mlp.1", "resid.2"])
def test_the_change_is_that_of_a_run_with_the_vector_added_at_the_last_token(site: str) -> None:
    model, added = model_of(dtype=F64), rows(3)
    change = contexts(model).change(site, added)
    for i, row in enumerate(added):
        for edits, sign in (([Add(site, vector=row, where=Where.at(-1))], 1), ([], -1)):
            logits = model.run(prompts(4, 6), edits=edits, logits=1).logits
            assert logits is not None
            change[i] -= sign * logits[:, -1].log_softmax(-1)
    assert float(change.abs().max()) < 1e-9


def test_an_edit_of_the_model_is_in_force_in_both_runs() -> None:
    edit = Add("resid.0", vector=10 * rows(1)[0])
    model = model_of(dtype=F64).edited(edit)
    found = contexts(model).change("resid.1", rows(1))[0]
    both = [*model.activation_edits, Add("resid.1", vector=rows(1)[0], where=Where.at(-1))]
    plain = model_of(dtype=F64)
    runs = [plain.run(prompts(4, 6), edits=e, logits=1).logits[:, -1].log_softmax(-1) for e in (both, both[:1])]
    assert torch.allclose(found, runs[0] - runs[1], atol=1e-9)


def test_of_strength_0_nothing_changes() -> None:
    asked = contexts()
    change = asked.change("resid.1", 0 * rows(2))
    assert float(change.abs().max()) < 1e-12 and float(asked.divergence(change).abs().max()) < 1e-12


def test_the_divergence_is_that_of_the_definition() -> None:
    asked = contexts()
    change = asked.change("resid.1", rows(2))
    p, q = asked.clean.exp(), (asked.clean + change).exp()
    assert torch.allclose(asked.divergence(change), (p * (p / q).log()).sum(-1).mean(-1))


@pytest.mark.parametrize("sigma", [0.01, 0.1, 0.3])
def test_all_directions_reach_the_divergence_whatever_their_length(sigma: float) -> None:
    asked, lengths = contexts(), torch.tensor([1e-6, 1.0, 1e6, 3.0, 5.0], dtype=F64)
    found = asked.at_kl("resid.1", rows(5) * lengths[:, None], sigma)
    assert float((found.kl / sigma - 1).abs().max()) <= WITHIN
    again = asked.change("resid.1", rows(5) * (lengths * found.strength)[:, None])
    assert torch.allclose(again, found.change) and torch.allclose(asked.divergence(again), found.kl)


def test_a_side_is_the_direction_times_a_negative_strength() -> None:
    asked = contexts()
    back = asked.at_kl("resid.1", -rows(1))
    assert torch.allclose(asked.change("resid.1", -back.strength[:, None] * rows(1)), back.change)


def test_a_direction_that_is_nothing_reaches_no_divergence() -> None:
    found = contexts().at_kl("resid.1", torch.stack([0 * rows(1)[0], rows(1)[0]]))
    assert found.strength.isnan().tolist() == [True, False]


@pytest.mark.parametrize("token", [5, 17, 60])
def test_the_direction_towards_a_token_raises_it_most(token: int) -> None:
    model = model_of(dtype=F64)
    done = contexts(model).at_kl("resid.2", Readout.of(model).towards(token)[None])
    assert int(done.change.mean(1)[0].argmax()) == token


@pytest.mark.parametrize("sigma", [0.0, -1.0, float("nan"), float("inf")])
def test_a_divergence_that_is_none_is_refused(sigma: float) -> None:
    with pytest.raises(ValueError, match="above 0 nats"):
        contexts().at_kl("resid.1", rows(1), sigma)


def text(documents: int = 150, length: int = 12, most: int = len(WORDS)) -> Held:
    draw = np.random.default_rng(1)
    tokens = draw.integers(3, 3 + most, documents * length)
    words = {i + 3: f" {word}" for i, word in enumerate(WORDS)}
    nothing = [Fired(np.array([0]), np.array([1.0]))]
    return Held(tokens, np.arange(documents + 1) * length, words, {"resid.1": nothing})


def test_contexts_are_beginnings_of_different_documents_of_their_part() -> None:
    firings = text()
    table, model = Table.of(firings), model_of()
    unseen = Unseen(firings, table)
    starts = {tuple(firings.tokens[a : a + 12]): part for a, part in zip(firings.documents, unseen.part, strict=False)}
    for part in ((0, 1), (UNSEEN,)):
        held = contexts_of(model, firings, table, part)
        ids = held._base.tokens
        assert {starts[tuple(row)] in part for row in ids.tolist()} == {True}
        assert len({tuple(row) for row in ids.tolist()}) == len(ids) == MANY and ids.shape[1] == 12
        assert contexts_of(model.neurons(), firings, table, part) is held


def test_a_text_of_other_tokens_or_of_too_few_documents_is_refused() -> None:
    firings = text()
    firings.tokens = firings.tokens + 10_000
    with pytest.raises(ValueError, match="give the model whose units fired there"):
        contexts_of(model_of(), firings, Table.of(firings), (UNSEEN,))
    firings = text(documents=1)
    with pytest.raises(ValueError, match="a text with more of them in each part"):
        contexts_of(model_of(), firings, Table.of(firings), (0, 1, 2))


def test_the_row_of_a_unit_is_what_it_writes() -> None:
    model = model_of()
    view = model.through(relu_dictionary(model, "resid.1"))
    assert torch.allclose(row_of(view, "resid.1/5"), view.dictionaries[view.body.site("resid.1")].W_dec[5])
    for address, said in (("resid.1/48", "no unit resid.1/48; it is seen in resid.1"), ("resid.0/1", "no unit")):
        with pytest.raises(ValueError, match=said):
            row_of(view, address)
    with pytest.raises(ValueError, match="several coordinates"):
        row_of(model.heads(), "head.1/2")


def test_a_dictionary_in_another_precision_than_the_model_says_what_it_writes() -> None:
    model = model_of()
    view = model.through(relu_dictionary(model, "resid.1", dtype=F64))
    assert row_of(view, "resid.1/5").dtype == F64
    assert float(contexts(view).at_kl("resid.1", row_of(view, "resid.1/5")[None]).kl) == pytest.approx(0.1, rel=WITHIN)


@pytest.mark.parametrize("documents", [20, 40])
def test_of_a_part_of_few_documents_all_are_asked(documents: int) -> None:
    firings = text(documents=documents)
    table = Table.of(firings)
    held = contexts_of(model_of(), firings, table, (UNSEEN,))
    assert len(held) == (Unseen(firings, table).part == UNSEEN).sum() < MANY and held._base.tokens.shape[1] == 12
