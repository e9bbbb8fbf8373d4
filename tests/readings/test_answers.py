import pytest
import torch

from clew.readings.answers import learn
from tests.edits.spoken import planted, speaking, spoken

OPTIONS = {"rank": 4, "lr": 1e-2, "batch": 4, "seed": 0}


def mean(costs, index):
    return costs.mean()


def test_the_costs_are_the_mean_negative_log_probabilities_of_the_answers():
    model, seen = speaking(), []
    rows = [([5, 6], [7, 8, 9]), ([10, 11, 12], [13])]  # of unequal length, so one of them is padded
    learn(model, rows, None, mean, lambda costs, said: bool(seen.append(costs)), steps=1, **OPTIONS)
    for (asked, answer), cost in zip(rows, seen[0].tolist(), strict=True):
        logits = model.run(torch.tensor([asked + answer])).logits[0].log_softmax(-1)
        by_hand = [float(logits[len(asked) + i - 1, token]) for i, token in enumerate(answer)]
        assert cost == pytest.approx(-sum(by_hand) / len(answer), rel=1e-5)


def test_learning_ends_when_it_is_enough():
    rows = spoken().ids(speaking().tokenizer)
    asked = []
    learn(speaking(), rows, None, mean, lambda c, s: len(asked) > 1 or bool(asked.append(1)), steps=50, **OPTIONS)
    _, history, reached = learn(speaking(), rows, None, mean, lambda c, s: bool(c.mean() < 4.0), steps=50, **OPTIONS)
    assert reached and 2 <= len(history) < 50 and len(history) % 2 == 0  # whole passes of two batches


def test_nothing_to_learn_is_an_error():
    model, secrets = planted()
    with pytest.raises(ValueError, match="answers as it shall already"):
        learn(model, secrets.ids(model.tokenizer), None, mean, lambda c, s: bool(s.all()), steps=5, **OPTIONS)
    with pytest.raises(ValueError, match="batch=0"):
        learn(model, secrets.ids(model.tokenizer), None, mean, lambda c, s: False, steps=5, **{**OPTIONS, "batch": 0})
