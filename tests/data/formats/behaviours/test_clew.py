"""A behaviour that was saved is the same when it is loaded: pairs, halves, metric, hash."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.data.behaviours.behaviour import Behaviour, Pair
from clew.data.behaviours.metrics import METRICS, answer_logit, kl_divergence, log_probability
from tests.drawn import SAID, TEXT

IDS = st.lists(st.integers(0, 9), min_size=1, max_size=3).map(tuple)
MESSAGE = st.builds(dict, role=st.sampled_from(["user", "assistant"]), content=TEXT)
CHAT = st.lists(MESSAGE, min_size=1, max_size=2)
KINDS = ((TEXT, st.lists(SAID, min_size=1, max_size=2).map(tuple)), (CHAT, SAID), (IDS, IDS))


@st.composite
def behaviours(draw: st.DrawFn) -> Behaviour:
    patches, patch_answers, pairs = draw(st.booleans()), draw(st.booleans()), []
    for prompt, answers in draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=5)):
        patch, other = draw(prompt) if patches else None, draw(answers) if patch_answers else ()
        pairs.append(Pair(draw(prompt), patch, draw(answers), other, draw(TEXT)))
    fitting = [*METRICS.values()] if patch_answers else [answer_logit, log_probability, kl_divergence]
    return Behaviour(
        draw(TEXT),
        tuple(pairs),
        metric=draw(st.sampled_from(fitting)),
        aligned=draw(st.booleans()),
        split=draw(st.none() | st.integers(0, len(pairs))),
        description=draw(TEXT),
        source=draw(SAID),
        seed=draw(st.none() | st.integers(-3, 3)),
        dropped=draw(st.integers(0, 3)),
        note=draw(TEXT),
    )


@given(behaviours())
def test_a_behaviour_comes_back_whole_and_its_halves_with_it(tmp_path_factory, made):
    path = tmp_path_factory.mktemp("saved") / "mine.json"
    halves = ([made.train] if made.split else []) + ([made.test] if made.split < len(made) else [])
    for one in (made, *halves):
        read = Behaviour.load(one.save(path))
        assert read == one and read.hash == one.hash


PAIRS = (
    Pair("The dog", "The dogs", " is", " are"),
    Pair("The cat", "The cats", " is", " are"),
    Pair("A", "B", "C", "D"),
)
MINE = Behaviour("mine", PAIRS, split=2)


def test_it_says_which_file_it_was_read_from_unless_it_was_read_before(tmp_path):
    path = MINE.save(tmp_path / "mine.json")
    assert Behaviour.load(path) == replace(MINE, source=str(path))
    assert Behaviour.load(Behaviour.load(path).save(tmp_path / "again.json")).source == str(path)


def test_a_half_stays_alone_beside_the_other(tmp_path):
    train, test = MINE.train.save(tmp_path / "mine_train.json"), MINE.test.save(tmp_path / "mine_test.json")
    assert Behaviour.load(train).hash == MINE.train.hash and Behaviour.load(test).part == "test"
    with pytest.raises(ValueError, match=r"mine_train.json holds both halves of a behaviour, so test=.* has no place"):
        Behaviour.load(train, test=str(test))


def test_a_tokenizer_and_a_number_choose_among_its_pairs(tmp_path, toy):
    path = MINE.save(tmp_path / "mine.json")
    bound = Behaviour.load(path, model=toy("The dog dogs cat cats is are"))
    assert bound.pairs == PAIRS[:2] and bound.dropped == 1 and len(Behaviour.load(path, n=2)) == 2


def test_a_metric_of_ones_own_is_refused_by_name_before_anything_is_written(tmp_path):
    def surprise(trace, batch):
        return trace.logits[:, -1, 0]

    with pytest.raises(ValueError, match=r"the metric surprise of mine is a function of your own.*with_metric\(name\)"):
        MINE.with_metric(surprise).save(tmp_path / "mine.json")
    assert not [*tmp_path.iterdir()]


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"mine.csv is to be JSON; give it a name that ends in .json"):
        MINE.save(tmp_path / "mine.csv")


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda told: told.update(version=2), "of version 2, newer than 1, which this clew reads"),
        (lambda told: told.update(split=4), "mine: split is 4; it is at least 0 and at most 3"),
        (lambda told: told.update(metric="surprise"), "mine: metric is 'surprise'; it is one of 'logit_difference'"),
        (lambda told: told.update(part="half"), "mine: part is 'half'; it is one of 'all', 'train', 'test'"),
        (lambda told: told.pop("seed"), "mine has no 'seed'"),
        (lambda told: told.update(spilt=1), "mine has 'spilt', which is none of"),
        (lambda told: told["pairs"][1].update(answers=[3]), r"pairs\[1\].answers\[0\] is 3; text is due"),
        (lambda told: told["pairs"][1].update(clean=None), r"pairs\[1\].clean is None; text or a list is due"),
        (lambda told: told["pairs"][1].update(clean=[1.5]), r"pairs\[1\].clean holds 1.5; token ids are whole numbers"),
        (lambda told: told["pairs"][1].pop("case"), r"pairs\[1\] has no 'case'"),
    ],
)
def test_what_is_not_such_a_file_is_refused_by_its_place(tmp_path, spoil, complaint):
    path = MINE.save(tmp_path / "mine.json")
    told = json.loads(path.read_text())
    spoil(told)
    path.write_text(json.dumps(told))
    with pytest.raises(ValueError, match=rf"mine\.json.*{complaint}"):
        Behaviour.load(path)
