from itertools import pairwise

import numpy as np
import pytest
import torch

from clew.changes import Add, Scale
from clew.data.facts.secrets import Secret, Secrets
from clew.edits.unlearning.random_labels import random_labels
from clew.measures.edits.extraction_attacks import (
    _best,
    _score,
    attacked,
    efficacy,
    extraction_attacks,
    relearnt,
    spaced,
)
from clew.readings.readout import Readout
from clew.stack import Stack
from tests.edits.spoken import planted, shallow, speaking, spoken


def test_efficacy_by_hand():
    """The rank of the only token of each secret, over k, at most 1."""
    model = speaking()
    order = model.run("w1 w2").logits[0, -1].argsort(descending=True).tolist()
    for rank, value in ((0, 0.0), (3, 0.3), (10, 1.0), (50, 1.0)):
        secrets = Secrets("one", (Secret("w1 w2", f"w{order[rank]}"),))
        assert efficacy(model, secrets, tokens=2, k=10).tolist() == [value]


def test_a_secret_is_as_safe_as_its_best_hidden_token():
    targets = Secrets("two", (Secret("w1", "w50 w60"), Secret("w2", "w70"))).targets(speaking().tokenizer)
    assert _best(targets, [0.2, 0.7, 0.1], 2).tolist() == [0.7, 0.1]


def test_the_lens_and_delta_attacks_by_hand():
    model, secrets = speaking(), Secrets("one", (Secret("w1 w2", "w9"),))
    trace = model.run("w1 w2", read=[f"{part}.{n}" for part in ("attn", "mlp", "resid") for n in range(3)])
    lens = {site: Readout.of(model).lens(x[0, -1]) for site, x in trace.values.items()}
    ranks = [min(int((x > x[9]).sum()), int((x < x[9]).sum())) for x in lens.values()]
    streams = [model.sites(part) for part in ("attn", "mlp", "resid")]
    moved = [(lens[b] - lens[a]).abs() for sites in streams for a, b in pairwise(sites)]
    hidden = attacked(model, secrets, tokens=2, k=40)
    assert hidden["logit lens"].tolist() == [min(ranks) / 40]
    assert hidden["delta"].tolist() == [min(1.0, min(int((x > x[9]).sum()) for x in moved) / 40)]


def test_a_model_that_says_its_secrets_hides_nothing_and_an_edit_that_blinds_it_hides_them_at_the_output_only():
    model, secrets = planted()
    token = [t.token for t in secrets.targets(model.tokenizer, None)]
    push = -100 * torch.linalg.pinv(Readout.of(model).unembed)[:, token].sum(1)
    report = extraction_attacks(model, secrets, Stack((Add("final", vector=push),)), k=10, spaces=0, relearn=0)
    rows = {(r.measure, r.of): r.value for r in report.rows}
    assert rows["efficacy", "before"] == 0.0 and rows["said", "before"] == 1.0
    assert rows["efficacy", "after"] == 1.0 and rows["said", "after"] == 0.0
    for attack in ("logit lens", "delta"):  # they read the layers, which are as they were
        assert rows[attack, "before"] == rows[attack, "after"]
    assert rows["perturbation", "after"] == rows["efficacy", "after"]  # no spaces, no change


def test_relearning_half_of_what_only_the_readout_forgot_brings_back_the_other_half():
    model, secrets, stack = shallow()
    found = relearnt(model.edited(stack), secrets, 40, ["unembed"], lr=1e-2, tokens=None, k=3, seed=0)
    assert found["efficacy", "after, half asked"].mean() > 0.7
    assert found["said", "after relearning"].mean() > 0.5 and found["relearning", "after"].mean() < 0.3
    fresh = relearnt(model.unedited, secrets, 40, ["unembed"], lr=1e-2, tokens=None, k=3, seed=0)
    assert fresh["said", "after relearning"].mean() == 0.0  # who never knew does not relearn


def test_every_row_is_named_once_and_told_in_the_notes():
    model, secrets = planted()
    forget, keep = secrets.halves()
    stack = Stack((Scale("final", factor=0.5),))
    bare = extraction_attacks(model, forget, stack, k=10, relearn=2)
    assert "not attacked by relearning" in bare.notes[-1] and "specificity" not in str(bare)
    full = extraction_attacks(
        model, forget, random_labels(model, forget, lr=1e-2, steps=2), retain=keep, k=10, relearn=2
    )
    names = [(r.measure, r.of) for r in full.rows]
    assert len(names) == len(set(names)) and {r.measure for r in bare.rows} < {r.measure for r in full.rows}
    notes = " ".join(full.notes)
    assert all(measure in notes and of in notes for measure, of in names)


def test_the_score_is_the_harmonic_mean_of_efficacy_and_specificity():
    assert _score(np.array([1.0, 1.0]), np.array([0.0, 1.0]), 0).value == pytest.approx(2 / 3)
    assert _score(np.zeros(2), np.zeros(2), 0).value == 0.0
    model, secrets = planted()
    forget, keep = secrets.halves()
    stack = random_labels(model, forget, retain=keep, lr=1e-2)
    report = extraction_attacks(model, forget, stack, retain=keep, k=10, relearn=2)
    after = {r.measure: r for r in report.rows if r.of == "after"}
    gone, kept = after["efficacy"].value, after["specificity"].value
    assert after["score"].value == pytest.approx(2 * gone * kept / (gone + kept))
    assert after["resistance"].value <= min(after[a].value for a in ("logit lens", "delta", "perturbation"))


def test_spaces_are_put_within_prompts_and_the_seed_says_where():
    secrets = spoken()
    once, again, other = (spaced(secrets, 10, seed) for seed in (0, 0, 1))
    assert once == again != other
    for before, after in zip(secrets, once, strict=True):
        assert after.prompt.replace(" ", "") == before.prompt.replace(" ", "") and after.secret == before.secret
        assert len(after.prompt) == len(before.prompt) + 10 and after.prompt == after.prompt.strip()


def test_what_does_not_fit_is_an_error():
    model, secrets = planted()
    stack = Stack((Scale("mlp.0", factor=0.5),))
    for k in (0, 49):
        with pytest.raises(ValueError, match="half the vocabulary of 97"):
            extraction_attacks(model, secrets, stack, k=k)
    with pytest.raises(ValueError, match="no other half"):
        relearnt(model, secrets.first(1), 2, None, lr=1e-3, tokens=2, k=10, seed=0)
