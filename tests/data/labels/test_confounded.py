import pytest

from clew.data.labels.bios import bios
from clew.data.labels.confounded import Confounded
from clew.data.labels.labelled import Labelled

TOGETHER = {"nurse": "female", "professor": "male"}
TEXTS = Confounded.of(bios(80, professions=tuple(TOGETHER)), TOGETHER, learn=0.6)


def groups(labelled: Labelled) -> list[tuple[str, str]]:
    return list(zip(labelled["profession"], labelled["gender"], strict=True))


def test_in_training_they_go_together_and_in_the_test_half_they_do_not() -> None:
    assert {g: groups(TEXTS.train).count(g) for g in groups(TEXTS.train)} == dict.fromkeys(TOGETHER.items(), 12)
    for half, count in ((TEXTS.balanced, 6), (TEXTS.test, 8)):
        assert {groups(half).count((p, g)) for p in TOGETHER for g in TOGETHER.values()} == {count}


def test_no_text_to_judge_on_was_learnt_from() -> None:
    learnt = {*TEXTS.train.texts, *TEXTS.balanced.texts}
    assert not learnt & set(TEXTS.test.texts) and len(TEXTS.train) == len(TEXTS.balanced)


def test_others_to_judge_on_leave_all_to_learn_from() -> None:
    others = bios(40, professions=tuple(TOGETHER), duties=range(3, 6), seed=1)
    texts = Confounded.of(bios(80, professions=tuple(TOGETHER), duties=range(3)), TOGETHER, learn=1.0, judged=others)
    assert len(texts.train) == len(texts.balanced) == 40 and set(texts.test.texts) == set(others.texts)


def test_a_text_that_was_learnt_from_does_not_judge() -> None:
    texts = bios(80, professions=tuple(TOGETHER))
    with pytest.raises(ValueError, match="texts to judge on are also learnt from"):
        Confounded.of(texts, TOGETHER, judged=texts)


def test_truth_is_the_second_class_and_what_goes_with_it() -> None:
    told = [(p == "professor", g == "male") for p, g in groups(TEXTS.test)]
    assert TEXTS.truth.T.tolist() == [list(pair) for pair in told]
    assert TEXTS.goes_with(["male", "female"]) == ["professor", "nurse"]


@pytest.mark.parametrize(
    ("together", "options", "says"),
    [
        ({"nurse": "female"}, {}, "name two classes"),
        ({"nurse": "female", "professor": "female"}, {}, "name two classes"),
        ({"nurse": "female", "pilot": "male"}, {}, "0 texts that are pilot and female .*profession: nurse, professor"),
        (TOGETHER, {"learn": 1.0}, "leaves 20 to learn from and 0"),
        (TOGETHER, {"target": "job"}, "no labelling 'job'"),
    ],
)
def test_errors_name_what_there_is(together: dict, options: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Confounded.of(bios(80, professions=("nurse", "professor")), together, **options)
