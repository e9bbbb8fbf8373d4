import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.data.labels.bios import DUTIES, bios
from clew.data.labels.labelled import Labelled
from clew.data.labels.word_classes import word_classes
from clew.data.words import MEN, VERBS, WOMEN
from tests.drawn import TEXT

PETS = Labelled(
    "pets", ("rex", "tom", "fern", "x"), {"kind": ("dog", "cat", "plant", ""), "alive": ("y", "n", "y", "n")}
)


def test_tasks_ask_one_class_against_the_rest_where_the_labelling_applies():
    tasks = list(PETS.tasks("kind"))
    assert [(t.name, t.index, t.positive.tolist()) for t in tasks] == [
        ("cat", (0, 1, 2), [False, True, False]),
        ("dog", (0, 1, 2), [True, False, False]),
        ("plant", (0, 1, 2), [False, False, True]),
    ]


def test_two_classes_are_one_task():
    (task,) = PETS.tasks("alive")
    assert task.name == "n" and task.positive.tolist() == [False, True, False, True]


def test_a_split_keeps_the_share_of_every_combination_of_labels():
    texts = tuple(map(str, range(60)))
    labels = {"a": ("p",) * 20 + ("q",) * 40, "b": tuple("uv" * 30)}
    learn, judge = Labelled("numbers", texts, labels).split(0.7, seed=3)
    assert set(learn.texts) | set(judge.texts) == set(texts) and len(learn) == 42
    assert Counter(zip(learn["a"], learn["b"], strict=True)) == {
        ("p", "u"): 7, ("p", "v"): 7, ("q", "u"): 14, ("q", "v"): 14,
    }  # fmt: skip


def test_the_seed_decides_the_split():
    made = Labelled("numbers", tuple(map(str, range(60))), {"a": tuple("uv" * 30)})
    assert made.halves(seed=1) == made.halves(seed=1) != made.halves(seed=2)


def test_labelled_texts_are_read_from_json_lines(tmp_path):
    path = tmp_path / "pets.jsonl"
    rows = [{"words": "rex", "kind": "dog", "age": 3}, {"words": "fern", "age": None}]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    read = Labelled.load(path, text="words", labels=("kind", "age"))
    assert read == Labelled("pets", ("rex", "fern"), {"kind": ("dog", ""), "age": ("3", "")})


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ('{"text": "a", "kind": "b"}\n{"text"', "line 2 is not JSON"),
        ('["a"]', "line 1 is .*an object is due"),
        ('{"text": "a", "kin": "b"}', "no column 'kind'; did you mean 'kin'"),
        ('{"text": 3, "kind": "b"}', "line 1: text is 3; text is due"),
    ],
)
def test_a_file_that_is_not_one_says_where(tmp_path, lines, says):
    (tmp_path / "x.jsonl").write_text(lines)
    with pytest.raises(ValueError, match=says):
        Labelled.load(tmp_path / "x.jsonl", labels=("kind",))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Labelled("x", (), {"a": ()}), "0 texts"),
        (lambda: Labelled("x", ("t",), {"a": ("p", "q")}), "1 texts but 2 labels of 'a'"),
        (lambda: PETS["kinds"], "no labelling 'kinds'; did you mean 'kind'"),
        (lambda: list(Labelled("x", ("t", "u"), {"a": ("p", "p")}).tasks("a")), "takes two to tell apart"),
        (lambda: PETS.halves(0.0), "both sides need some"),
        (lambda: Labelled("x", ("t", "t"), {"a": ("p", "q")}).halves(), "'t' more than once"),
        (lambda: bios(4, professions=("nurs",)), "did you mean 'nurse'"),
        (lambda: bios(4, correlation=2.0), "outside"),
    ],
)
def test_errors_say_what_was_given_and_what_is_allowed(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_bios_correlate_as_asked():
    for correlation, together in ((0, 25), (0.5, 37.5), (1, 50), (-1, 0)):
        made = bios(100, professions=("nurse", "professor"), correlation=correlation)
        counts = Counter(zip(made["profession"], made["gender"], strict=True))
        assert abs(counts["nurse", "female"] - together) < 1 and abs(counts["professor", "male"] - together) < 1
        assert counts["nurse", "female"] + counts["nurse", "male"] == 50


def test_a_bio_tells_its_labels_and_does_not_name_the_profession():
    made = bios(120)
    assert len(set(made.texts)) == 120
    for text, profession, gender in zip(made.texts, made["profession"], made["gender"], strict=True):
        assert (text.split()[0] in WOMEN) == (" She " in text) == (gender == "female") != (text.split()[0] in MEN)
        assert sum(duty in text for duty in DUTIES[profession]) == 1 and profession not in text


def test_a_word_of_two_classes_has_no_label():
    made = word_classes()
    of = {text.split()[-1]: i for i, text in enumerate(made.texts)}
    assert (made.position == -1 and "cook" not in of) or made["part of speech"][of["cook"]] == ""
    for present, past in VERBS:
        if past in of and made["tense"][of[past]]:
            assert made["tense"][of[past]] == "past" and made["number"][of[past]] == ""
        assert present not in of or made["tense"][of[present]] in ("present", "")


@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4), st.booleans())
def test_any_texts_and_classes_are_read_as_they_stand_in_a_file(tmp_path, rows, ascii):
    lines = [json.dumps({"text": text, "mood": mood}, ensure_ascii=ascii) for text, mood in rows]
    (tmp_path / "mine.jsonl").write_text("\n".join(lines), encoding="utf-8")
    found = Labelled.load(tmp_path / "mine.jsonl", labels=["mood"])
    assert list(zip(found.texts, found["mood"], strict=True)) == rows


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (({"text": "a", "kind": "b"}, {"text": "c", "knid": "d"}), "line 2 has 'knid', which is none of"),
        (
            ({"text": "a", "kind": "b"}, {"text": "c", "kind": 3}),
            "'kind' of .*x.jsonl holds classes of several kinds: int, str",
        ),
        (({"text": "a", "kind": ["b"]},), r"line 1: kind is \['b'\]; a class is due"),
        (({"text": None, "kind": "b"},), "line 1: text is None; text is due"),
    ],
)
def test_a_class_is_what_its_column_holds(tmp_path, rows, said):
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(ValueError, match=said) as caught:
        Labelled.load(path, labels=["kind"])
    assert "x.jsonl" in str(caught.value)
