import json

import pytest

from clew.data.behaviours.behaviour import Behaviour, Pair
from clew.data.behaviours.metrics import log_probability, logit_difference, probability_difference


def lines(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def sva(clean, patch, answer, wrong, case="singular"):
    return {"clean_prefix": clean, "patch_prefix": patch, "clean_answer": answer, "patch_answer": wrong, "case": case}


DOG, CAT = sva("The dog", "The dogs", " has", " have"), sva("The cat", "The cats", " is", " are")


def test_agreement_lines_are_pairs(tmp_path):
    read = Behaviour.load(lines(tmp_path / "simple.jsonl", DOG, CAT))
    assert set(read.pairs) == {
        Pair("The dog", "The dogs", (" has",), (" have",), "singular"),
        Pair("The cat", "The cats", (" is",), (" are",), "singular"),
    }
    assert read.name == "simple" and read.aligned and read.metric is logit_difference and len(read.train) == 1


def test_agreement_lines_may_be_called_json(tmp_path):
    assert len(Behaviour.load(lines(tmp_path / "simple.json", DOG, CAT))) == 2


def test_a_published_test_file_is_the_test_half(tmp_path):
    train = lines(tmp_path / "x_train.jsonl", DOG)
    test = lines(tmp_path / "x_test.jsonl", CAT)
    read = Behaviour.load(train)
    assert [p.clean for p in read.train.pairs] == ["The dog"] and [p.clean for p in read.test.pairs] == ["The cat"]
    assert read.source == f"{train}, {test}" and read.hash == Behaviour.load(train, test=str(test)).hash


def test_rows_of_one_prompt_stay_on_one_side(tmp_path):
    rows = [sva(f"The {w}", f"The {w}s", a, b) for w in "abcdef" for a, b in ((" is", " are"), (" has", " have"))]
    read = Behaviour.load(lines(tmp_path / "simple.jsonl", *rows))
    assert not {p.clean for p in read.train.pairs} & {p.clean for p in read.test.pairs} and len(read.train) == 6


def test_columns_name_the_parts_of_any_table(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("q,a\nTwo and two is, four\nOne and one is, two\n")
    read = Behaviour.load(path, columns={"clean": "q", "answers": "a"}, n=2)
    assert Pair("Two and two is", None, (" four",)) in read.pairs
    assert read.metric is log_probability and not read.aligned


@pytest.mark.parametrize("end", ["\n", "\x85", "\u2028", "\x0c"])
def test_a_prompt_may_hold_whatever_some_take_for_the_end_of_a_line(tmp_path, end):
    prompt = f"one{end}and one is"
    (tmp_path / "mine.csv").write_text(f'q,a\n"{prompt}", two\n', encoding="utf-8")
    written = json.dumps({"q": prompt, "a": " two"}, ensure_ascii=False)
    (tmp_path / "mine.jsonl").write_text(f"{written}\n", encoding="utf-8")
    for name in ("mine.csv", "mine.jsonl"):
        read = Behaviour.load(tmp_path / name, columns={"clean": "q", "answers": "a"})
        assert [pair.clean for pair in read.pairs] == [prompt]


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


def test_n_bounds_the_pairs(tmp_path):
    rows = [sva(f"The {i}", f"The {i}s", " is", " are") for i in range(9)]
    assert len(Behaviour.load(lines(tmp_path / "simple.jsonl", *rows), n=4)) == 4


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (
            '{"a": 1}\n',
            {},
            "has columns 'a', which is none of the layouts blimp, .*; say which column is what with columns=",
        ),
        ('{"a": 1}\n', {"columns": {"clean": "a"}}, "columns must say which column holds 'answers'"),
        ('{"a": 1}\n', {"columns": {"clean": "a", "answers": "b"}}, "mine has no column 'b'; it has a"),
        ('{"a": 1}\n', {"columns": {"prompt": "a"}}, "'prompt' is no part of a pair; columns can name clean, patch"),
        ("{nonsense\n", {}, "line 1 is not JSON"),
        ("[1]\n", {}, "must hold records with named columns; it holds other values"),
        ("", {}, "it holds none"),
        ('{"a": 1}\n', {"format": "tabel"}, "'tabel' is not one of clew's formats of behaviours; did you mean 'table'"),
    ],
)
def test_a_foreign_file_is_explained(tmp_path, text, options, message):
    path = tmp_path / "mine.jsonl"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        Behaviour.load(path, **options)


def test_addresses_that_lead_nowhere():
    with pytest.raises(ValueError, match=r"there is no file no/such\.jsonl"):
        Behaviour.load("no/such.jsonl")
    with pytest.raises(ValueError, match="write hf://datasets/owner/name/path"):
        Behaviour.load("hf://datasets/owner")


def test_a_hub_address_goes_through_the_hubs_client(tmp_path, monkeypatch):
    import huggingface_hub

    asked = []
    local = str(lines(tmp_path / "simple.jsonl", DOG, CAT))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *a, **k: asked.append((a, k)) or local)
    read = Behaviour.load("hf://datasets/owner/name/data/simple.jsonl")
    assert asked == [(("owner/name", "data/simple.jsonl"), {"repo_type": "dataset"})]
    assert len(read) == 2 and read.source == "hf://datasets/owner/name/data/simple.jsonl"


def test_a_row_without_a_prompt_is_refused_and_a_cell_keeps_its_lines(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"clean_prefix": null, "clean_answer": " a"}\n')
    with pytest.raises(ValueError, match="row 1, 'clean_prefix' is None; text is due"):
        Behaviour.load(str(path))
    table = tmp_path / "x.csv"
    table.write_text('clean_prefix,clean_answer\n"one\ntwo", a\n"three\u2028four", b\n')
    assert {pair.clean for pair in Behaviour.load(str(table)).pairs} == {"one\ntwo", "three\u2028four"}
