import json

import pytest

from clew.data.behaviours.behaviour import Behaviour, Pair
from clew.data.behaviours.metrics import log_probability, logit_difference, probability_difference
from tests.data.rows import CAT, DOG, lines


def test_agreement_lines_are_pairs(tmp_path):
    read = Behaviour.load(lines(tmp_path / "simple.jsonl", DOG, CAT))
    assert set(read.pairs) == {
        Pair("The dog", "The dogs", (" has",), (" have",), "singular"),
        Pair("The cat", "The cats", (" is",), (" are",), "singular"),
    }
    assert read.name == "simple" and read.aligned and read.metric is logit_difference and len(read.train) == 1


def test_columns_name_the_parts_of_any_table(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("q,a\nTwo and two is, four\nOne and one is, two\n")
    read = Behaviour.load(path, columns={"clean": "q", "answers": "a"}, n=2)
    assert Pair("Two and two is", None, (" four",)) in read.pairs
    assert read.metric is log_probability and not read.aligned


def test_a_cell_may_hold_several_answers(tmp_path):
    path = lines(tmp_path / "mine.jsonl", *({"p": t, "good": [" x", " y"], "bad": [" z"]} for t in "ab"))
    read = Behaviour.load(path, columns={"clean": "p", "answers": "good", "patch_answers": "bad"})
    assert read.pairs[0].answers == (" x", " y") and read.pairs[0].patch_answers == (" z",)


def test_ioi_names_come_from_the_text(tmp_path):
    path = tmp_path / "ioi.csv"
    path.write_text(
        ",clean,corrupted,corrupted_hard,correct_idx,incorrect_idx\n"
        '7,"Then Ann and Bob met. Ann told","Then Ann and Bob met. Cid told","Then Ann and Bob met. Bob told",1,2\n'
        '8,"Then Ann and Bob met. Ann told","Then Ann and Bob met. Cid told","Then Bob and Bob met. Bob told",1,2\n'
    )
    read = Behaviour.load(path)
    assert read.pairs == (
        Pair("Then Ann and Bob met. Ann told", "Then Ann and Bob met. Cid told", (" Bob",), (" Ann",)),
    )
    assert read.dropped == 1 and read.note.startswith("1 of 2 rows made no pair")
    assert Behaviour.load(path, patch="corrupted_hard").pairs[0].patch == "Then Ann and Bob met. Bob told"


GREATER = "clean,corrupted,label\nfrom 1397 to 13,from 1301 to 13,97\nfrom 1309 to 13,from 1301 to 13,09\n"


def test_greater_than_in_two_digits_and_in_one(tmp_path, toy):
    path = tmp_path / "greater.csv"
    path.write_text(GREATER + "from 1352 to 13,from 1301 to 13,52\n")
    two = {p.case: p for p in Behaviour.load(path).pairs}
    assert two["97"].answers == ("98", "99") and two["09"].patch_answers[-1] == "09" and len(two["09"].answers) == 90
    (one,) = Behaviour.load(path, digits=1).pairs
    assert one.answers == ("6", "7", "8", "9") and one.patch_answers == ("0", "1", "2", "3", "4")
    bound = Behaviour.load(path, model=toy("from to"))
    assert bound.pairs == (one,) and bound.metric is probability_difference and bound.dropped == 2


LRE = {
    "name": "country capital city",
    "prompt_templates": ["The capital of {} is", "{}'s capital is"],
    "samples": [{"subject": f"land{c}", "object": f"Town{c}"} for c in "abcdef"],
}


def test_relations_ask_after_examples(tmp_path, toy):
    path = tmp_path / "capital.json"
    path.write_text(json.dumps(LRE, indent=1))
    read = Behaviour.load(path, shots=2, template=1)
    assert len(read) == 4 and read.description == "country capital city"
    for pair in read.pairs:
        *examples, question = pair.clean.split("\n")
        assert len(examples) == 2 and not any(example.startswith(question) for example in examples)
        letter = question.removeprefix("land")[0]
        assert question == f"land{letter}'s capital is" and pair.answers == (f" Town{letter}",)
    bound = Behaviour.load(path, shots=2, model=toy("The capital of is", *(f"land{c} Town{c}" for c in "abcde")))
    assert 1 <= len(bound) + bound.dropped == 4


def test_relations_with_too_few_subjects_say_so(tmp_path):
    path = tmp_path / "capital.json"
    path.write_text(json.dumps(LRE))
    with pytest.raises(ValueError, match="capital has 6 subjects, too few for 5 examples"):
        Behaviour.load(path, shots=5)
    with pytest.raises(ValueError, match="capital has 2 templates, 0 to 1; template is 2"):
        Behaviour.load(path, template=2)


def blimp(good, bad, fits=True):
    return {"sentence_good": good, "sentence_bad": bad, "UID": "u", "one_prefix_method": fits}


def test_blimp_is_asked_with_one_prefix(tmp_path):
    rows = [
        blimp("Paula references Robert.", "Paula reference Robert."),
        blimp("The cat sat.", "A cat sat."),
        blimp("Some cats ran.", "Some cats runs.", fits=False),
        blimp("Dogs that bark run.", "Dogs that bark runs."),
    ]
    read = Behaviour.load(lines(tmp_path / "agree.jsonl", *rows))
    assert set(read.pairs) == {
        Pair("Paula", None, (" references",), (" reference",), "u"),
        Pair("Dogs that bark", None, (" run",), (" runs",), "u"),
    }
    assert read.note == "2 of 4 rows made no pair: the one-prefix method does not apply."
    with pytest.raises(ValueError, match="no sentence pair of none can be asked with one prefix"):
        Behaviour.load(lines(tmp_path / "none.jsonl", rows[1]))


def test_a_row_without_a_prompt_is_refused_and_a_cell_keeps_its_lines(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"clean_prefix": null, "clean_answer": " a"}\n')
    with pytest.raises(ValueError, match="row 1, 'clean_prefix' is None; text is due"):
        Behaviour.load(str(path))
    table = tmp_path / "x.csv"
    table.write_text('clean_prefix,clean_answer\n"one\ntwo", a\n"three\u2028four", b\n')
    assert {pair.clean for pair in Behaviour.load(str(table)).pairs} == {"one\ntwo", "three\u2028four"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda row: row.update(clean_prefix=3), "row 1, 'clean_prefix' is 3; text is due"),
        (lambda row: row.update(clean_answer=None), "row 1, 'clean_answer' is empty; an answer is due"),
        (lambda row: row.update(case=["x"]), r"a cell holds \['x'\]; a text is due"),
        (lambda row: row.update(patch_answer=[[" x"]]), r"a cell holds \[' x'\]; a text is due"),
        (lambda row: (row.pop("patch_prefix"), row.update(patch_perfix="x")), "has 'patch_perfix', which is none of"),
        (lambda row: row.pop("case"), "row 2 of .*, unlike row 1, has 'case'"),
    ],
)
def test_a_row_of_agreement_is_typed_and_like_the_others(tmp_path, change, said):
    change(first := dict(DOG))
    rows = (first,) if "patch_perfix" in first else (first, CAT)
    with pytest.raises(ValueError, match=said) as caught:
        Behaviour.load(lines(tmp_path / "simple.jsonl", *rows))
    assert "simple.jsonl" in str(caught.value)


def test_what_a_table_marks_as_unfit_is_left_out_in_words_too(tmp_path):
    path = tmp_path / "agree.csv"
    head = "sentence_good,sentence_bad,UID,one_prefix_method\n"
    rows = "The cats run.,The cats runs.,u,True\nThe dog runs.,The dog run.,u,False\n"
    path.write_text(head + rows)
    assert [pair.clean for pair in Behaviour.load(path).pairs] == ["The cats"]
    path.write_text(head + rows.replace("False", "perhaps"))
    with pytest.raises(ValueError, match=r"agree\.csv.*one_prefix_method is 'perhaps'; true or false is due"):
        Behaviour.load(path)


@pytest.mark.parametrize("label", ["-3", "100", "9_7", "x", ""])
def test_a_first_year_has_two_digits(tmp_path, label):
    (tmp_path / "g.csv").write_text(f"clean,corrupted,label\nfrom 1397 to 13,from 1301 to 13,{label}\n")
    with pytest.raises(ValueError, match=rf"g\.csv.*a label is '{label}'; the two digits of a year"):
        Behaviour.load(tmp_path / "g.csv")


def test_a_template_is_filled_and_never_run(tmp_path):
    path = tmp_path / "capital.json"
    path.write_text(json.dumps(LRE | {"prompt_templates": ["{0.__class__}"]}))
    with pytest.raises(ValueError, match=r"capital\.json.*prompt_templates\[0\] is '{0\.__class__}'; it needs one {}"):
        Behaviour.load(path)
