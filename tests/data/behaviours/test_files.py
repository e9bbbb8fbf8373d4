"""Behaviours from files: which layout, which half, what is counted as dropped, and what each refusal says."""

import json

import pytest

from clew.data.behaviours import files
from clew.data.behaviours.behaviour import Behaviour, Pair
from tests.data.rows import CAT, DOG, lines, sva


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


@pytest.mark.parametrize("end", ["\n", "\x85", "\u2028", "\x0c"])
def test_a_prompt_may_hold_whatever_some_take_for_the_end_of_a_line(tmp_path, end):
    prompt = f"one{end}and one is"
    (tmp_path / "mine.csv").write_text(f'q,a\n"{prompt}", two\n', encoding="utf-8")
    written = json.dumps({"q": prompt, "a": " two"}, ensure_ascii=False)
    (tmp_path / "mine.jsonl").write_text(f"{written}\n", encoding="utf-8")
    for name in ("mine.csv", "mine.jsonl"):
        read = Behaviour.load(tmp_path / name, columns={"clean": "q", "answers": "a"})
        assert [pair.clean for pair in read.pairs] == [prompt]


def test_n_bounds_the_pairs(tmp_path):
    rows = [sva(f"The {i}", f"The {i}s", " is", " are") for i in range(9)]
    assert len(Behaviour.load(lines(tmp_path / "simple.jsonl", *rows), n=4)) == 4


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (
            '{"a": 1}\n',
            {},
            "has columns 'a', which is none of the layouts blimp, .*; say which column is what: columns=",
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


def cleans(behaviour) -> list[str]:
    return [pair.clean for pair in behaviour.pairs]


def test_a_json_file_is_one_record_a_list_of_them_or_lines(tmp_path):
    for text, many in (
        (json.dumps(DOG, indent=1), 1),
        (json.dumps([DOG, CAT]), 2),
        (json.dumps([DOG, CAT], indent=1), 2),
        (f"{json.dumps(DOG)}\n{json.dumps(CAT)}\n", 2),
    ):
        (tmp_path / "x.json").write_text(text)
        assert len(files.read(str(tmp_path / "x.json"))) == many


def test_columns_are_parted_by_tabs_in_a_file_that_says_so(tmp_path):
    (tmp_path / "x.tsv").write_text("clean_prefix\tclean_answer\nOne, two,\t three\n")
    assert files.read(str(tmp_path / "x.tsv")).pairs == (Pair("One, two,", None, (" three",)),)


def test_the_seed_shuffles_and_halves_but_loses_none(tmp_path):
    path = str(lines(tmp_path / "x.jsonl", *(sva(f"The {i}", f"The {i}s", " is", " are") for i in range(12))))
    one, again, other = (files.read(path, seed=seed) for seed in (1, 1, 2))
    assert cleans(one) == cleans(again) != cleans(other)
    assert sorted(cleans(one)) == sorted(cleans(other)) == sorted(f"The {i}" for i in range(12))
    assert len(one.train) == len(one.test) == 6


def test_halves_that_are_given_stand_in_their_files_order_and_what_was_dropped_is_summed(tmp_path):
    row = {"sentence_good": "Dogs run.", "sentence_bad": "Dogs runs.", "UID": "u", "one_prefix_method": True}
    other = row | {"sentence_good": "Cats sit.", "sentence_bad": "Cats sits."}
    train = lines(tmp_path / "a.jsonl", row, row | {"one_prefix_method": False})
    test = lines(tmp_path / "b.jsonl", other, *[row | {"one_prefix_method": False}] * 2)
    read = files.read(str(train), test=str(test))
    assert (cleans(read.train), cleans(read.test)) == (["Dogs"], ["Cats"])
    assert read.dropped == 3 and read.note.startswith("1 of 2 rows made no pair") and "2 of 3 rows" in read.note


def test_a_training_file_alone_is_halved_like_any_other(tmp_path):
    path = lines(tmp_path / "x_train.jsonl", DOG, CAT)
    read = files.read(str(path))
    assert len(read.train) == len(read.test) == 1 and read.source == str(path)


def test_of_a_model_only_pairs_that_it_can_pose_are_kept_and_the_others_counted(tmp_path, toy):
    path = lines(tmp_path / "x.jsonl", DOG, CAT, sva("The old dog", "The dogs", " has", " have"))
    read = files.read(str(path), model=toy("The dog dogs cat cats has have is are old"))
    assert sorted(cleans(read)) == ["The cat", "The dog"] and read.dropped == 1


def test_answers_are_texts_one_or_many_and_a_number_is_what_is_written():
    assert files.strings(None) == files.strings("") == ()
    assert files.strings(" a") == (" a",) and files.strings([" a", 3]) == (" a", "3") and files.words(1.5) == "1.5"
    for cell in (None, True, ["a"]):
        with pytest.raises(ValueError, match="a text is due there"):
            files.words(cell)


def test_rows_that_made_no_pair_are_said_and_none_is_not_worth_a_word():
    behaviour = Behaviour("b", (Pair("a", "b", (" c",), (" d",)), Pair("b", "a", (" d",), (" c",))))
    assert files.skipped(behaviour, 0, "no reason") is behaviour
    found = files.skipped(behaviour, 3, "too long")
    assert (found.dropped, found.note) == (3, "3 of 5 rows made no pair: too long.")
