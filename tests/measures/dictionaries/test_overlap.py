"""overlap: a dictionary against itself, shuffled, turned and broken."""

import builtins

import pytest
import torch

from clew.data.text.windows import cut
from clew.dictionaries import ITDA, Dictionary, Identity, ReLU
from clew.measures.dictionaries import _codes
from clew.measures.dictionaries import overlap as module
from clew.measures.dictionaries._codes import Codes, _partners, firing_jaccard, ridge_map
from clew.measures.dictionaries.overlap import overlap
from tests.measures.dictionaries.planted_dictionaries import SITE, model, row, signed_copy, text, values
from tests.models.tiny import model_of, relu_dictionary
from tests.planted import random_dictionary

WAYS = ("this in the other", "the other in this")


def shuffled(dictionary: ReLU, scale: float = 1.0) -> ReLU:
    """The same dictionary with its units in another order, each code `scale` times as large."""
    order = torch.randperm(dictionary.n_units, generator=torch.Generator().manual_seed(0))
    return ReLU(
        dictionary.reads, W_enc=scale * dictionary.W_enc[:, order], b_enc=scale * dictionary.b_enc[order],
        W_dec=dictionary.W_dec[order] / scale, b_dec=dictionary.b_dec, centred=dictionary.centred,
    )  # fmt: skip


def test_another_order_and_scale_of_units_is_the_same_dictionary() -> None:
    one = random_dictionary(SITE, 32, units=40)
    report = overlap(model(), text(20), one, other=shuffled(one, scale=3.0), ridge=1e-10)
    for way in WAYS:
        assert row(report, "mean max cosine", way).value == pytest.approx(1, abs=1e-6)
        assert row(report, "above 0.9", way).value == 1
        assert row(report, "firing Jaccard", way).value == 1
    assert report["matched cosine"].value == pytest.approx(1, abs=1e-6)
    own = dictionary_fvu(one)
    assert report["swapped FVU"].value == pytest.approx(own)
    assert row(report, "stitched FVU", "this site").value == pytest.approx(
        row(report, "stitched FVU", "the other's site").value, rel=1e-4
    )


def dictionary_fvu(dictionary: Dictionary) -> float:
    y = values(model(), text(20), dictionary)
    return float((dictionary.reconstruct(y) - y).square().sum() / (y - y.mean(0)).square().sum())


def test_the_code_of_an_exact_dictionary_tells_all_of_its_site() -> None:
    report = overlap(model(), text(20), Identity(SITE, 32), other=signed_copy(32), ridge=1e-12, matched=False)
    for of in ("this site", "the other's site"):
        assert row(report, "stitched FVU", of).value == pytest.approx(0, abs=1e-6)
        assert row(report, "own FVU", of).value == pytest.approx(0, abs=1e-12)
        assert row(report, "own FVU", of).examples == 10  # half of the documents
    assert any("no firing sets" in note for note in report.notes)
    assert any("no one-to-one match: as asked" in note for note in report.notes)


def test_opposite_directions_are_not_alike() -> None:
    one = random_dictionary(SITE, 32, units=4)
    turned = ReLU(SITE, W_enc=one.W_enc, b_enc=one.b_enc, W_dec=-one.W_dec, b_dec=one.b_dec, centred=True)
    report = overlap(model(), text(), one, other=turned)
    assert row(report, "mean max cosine", WAYS[0]).value < 0.5
    assert row(report, "firing Jaccard", WAYS[0]).value == 1


def test_the_jaccard_index_by_hand() -> None:
    """Unit 0 fires at tokens 0 1 2; the other's unit 1 at 1 2 3, its unit 0 at 0 alone: best is 2 of 4."""
    mine = torch.tensor([[1.0, 0], [1, 0], [-1, 0], [0, 0]])
    theirs = torch.tensor([[1.0, 0], [0, 1], [0, 1], [0, 1]])
    one, two = (Codes.gather([c.to_sparse()]) for c in (mine, theirs))
    by, found = firing_jaccard(one, two, torch.zeros(4, dtype=torch.long))
    assert found[0] == 0.5 and len(by) == 1  # of the one unit that fires
    assert _partners(one, two)[0] == 1


def test_partners_do_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    g = torch.Generator().manual_seed(0)
    one, two = ((torch.rand(50, n, generator=g) > 0.7).float() for n in (23, 17))
    both = one.T @ two
    index = both / (one.sum(0)[:, None] + two.sum(0) - both)
    monkeypatch.setattr(_codes, "BLOCK", 5)
    codes = [Codes.gather([c[:30].to_sparse(), c[30:].to_sparse()]) for c in (one, two)]
    best = _partners(*codes)
    assert torch.allclose(index.gather(1, best[:, None])[:, 0], index.amax(1))
    _, found = firing_jaccard(*codes, torch.arange(50) // 5)
    assert found[0] == pytest.approx(float(index.amax(1).mean()))


def test_the_ridge_map_solves_the_normal_equations() -> None:
    g = torch.Generator().manual_seed(0)
    code = torch.randn(60, 9, generator=g, dtype=torch.float64).relu()
    code[:, 3] = 0  # a unit that never fires
    y = torch.randn(60, 4, generator=g, dtype=torch.float64)
    y[:, 2] = 0  # a column that is solved from the start
    x = torch.cat([code, torch.ones(60, 1, dtype=torch.float64)], 1)
    size = x.square().sum(0)
    weight = 0.01 * size[size > 0].mean()
    wanted = torch.linalg.solve(x.T @ x + weight * torch.eye(10, dtype=torch.float64), x.T @ y)
    assert torch.allclose(ridge_map(Codes.gather([code.to_sparse()]), y, ridge=0.01), wanted, atol=1e-8)


def test_atoms_in_both_over_atoms_in_either() -> None:
    atoms, b_dec = torch.eye(32, dtype=torch.float64), torch.zeros(32, dtype=torch.float64)
    one, two = (ITDA(SITE, atoms=atoms[some], b_dec=b_dec, k=3) for some in (slice(0, 12), slice(8, 24)))
    assert overlap(model(), text(), one, other=two)["atom Jaccard"].value == 4 / 24


def test_sites_of_other_width_and_models_have_only_what_the_text_tells() -> None:
    one, two = model_of("llama"), model_of("gpt2")
    windows = cut(["the nurse said that she was very good .", "a king and a queen . he was not old ."] * 3, one.tokenizer,
                  context=6)  # fmt: skip
    report = overlap(
        one, windows, relu_dictionary(one, "neuron.0"), other=relu_dictionary(two, "resid.1"), other_model=two
    )
    assert {r.measure for r in report.rows} == {"firing Jaccard", "stitched FVU", "own FVU"}
    assert any("no cosines: neuron.0 is" in note for note in report.notes)


def test_two_models_are_read_at_the_same_tokens() -> None:
    one = model_of("llama")
    windows = cut(["the nurse said that she was very good .", "a king and a queen . he was not old ."], one.tokenizer)
    d = relu_dictionary(one, "resid.0")
    alone, apart = overlap(one, windows, d, other=d), overlap(one, windows, d, other=d, other_model=model_of("llama"))
    assert row(apart, "firing Jaccard", WAYS[0]).value == row(alone, "firing Jaccard", WAYS[0]).value == 1
    assert "swapped FVU" in {r.measure for r in alone.rows} - {r.measure for r in apart.rows}


def test_other_words_are_refused_and_a_missing_package_named(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, d = model_of("llama"), model_of("gpt2"), random_dictionary(SITE, 32)
    two.tokenizer.add_tokens(["clew"])
    windows = cut(["the nurse said that she was very good ."], one.tokenizer)
    with pytest.raises(ValueError, match="different vocabularies"):
        overlap(one, windows, relu_dictionary(one, SITE), other=relu_dictionary(two, SITE), other_model=two)
    real = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", lambda name, *a: refuse(name) or real(name, *a))
    with pytest.raises(ImportError, match=r"pip install 'clew\[probes\]', or pass matched=False"):
        overlap(model(), text(), d, other=d)


def refuse(name: str) -> None:
    if name.startswith("scipy"):
        raise ImportError(name)


def test_too_wide_for_a_match_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MATCHED", 10)
    report = overlap(model(), text(), random_dictionary(SITE, 32), other=random_dictionary(SITE, 32, seed=1))
    assert any("takes too long beyond 10 units" in note for note in report.notes)
    assert {"matched cosine", "swapped FVU"}.isdisjoint({r.measure for r in report.rows})
