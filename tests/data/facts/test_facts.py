import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.data.facts.everyday import facts
from clew.data.facts.facts import Fact, Facts, answer_ids, subject_last
from tests.drawn import SAID, TEXT
from tests.models.tiny import model_of, word_tokenizer

FRANCE = Fact("The capital of {} is", "France", "Rome", "Paris")


def test_a_fact_asks_of_its_subject():
    assert FRANCE.asked == "The capital of France is"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (("The capital is", "France", "Rome"), "needs one {}"),
        (("{} and {} are", "France", "Rome"), "needs one {}"),
        (("{} is", " ", "Rome"), "no subject"),
        (("{} is", "France", ""), "no target"),
        (("{} is", "France", "Rome", "Rome"), "both 'Rome'"),
    ],
)
def test_a_fact_that_asks_nothing_is_an_error(given, says):
    with pytest.raises(ValueError, match=says):
        Fact(*given)


def test_an_answer_has_the_ids_it_has_after_its_prompt(toy):
    model = toy("a b 1 2")
    assert answer_ids(model.tokenizer, "a", "b 12") == (model.ids("a"), model.ids("b 1 2"))


def test_an_answer_without_tokens_of_its_own_is_an_error():
    with pytest.raises(ValueError, match=r"\['the', '<unk>'\] becomes \['the', '<unk>'\]"):
        answer_ids(word_tokenizer(), "the (", "king")


def test_known_facts_are_those_the_model_says():
    model = model_of()
    says = [model.tokenizer.decode(model.run(f"the {who} said").logits[0, -1].argmax()) for who in ("king", "queen")]
    asked = [("king", says[0]), ("queen", "not" if says[1] != "not" else "very")]
    both = Facts("two", tuple(Fact("the {} said", who, "doctor", old) for who, old in asked))
    assert [fact.subject for fact in both.known(model)] == ["king"]
    assert "1 of 2 fell out" in both.known(model).note
    with pytest.raises(ValueError, match="1 of 1 fell out"):
        both.pick([1]).known(model)
    with pytest.raises(ValueError, match="no `old`"):
        Facts.one("the {} said", "king", "that").known(model)


def test_the_subject_is_found_where_the_template_puts_it():
    tokenizer = model_of().tokenizer
    fact = Fact("the {} and the king said", "old king", "that")
    assert subject_last(tokenizer, fact) == 2
    assert subject_last(tokenizer, fact, "she said that . ") == 6


def test_the_hash_is_of_all_that_is_asked():
    a, b = Facts("a", (FRANCE,)), Facts("b", (FRANCE,))
    assert a.hash == b.hash != Facts("a", (Fact("The capital of {} is", "France", "Bonn", "Paris"),)).hash


def test_our_file_comes_back_as_it_was(tmp_path):
    made = facts(5)
    assert Facts.load(made.save(tmp_path / "facts.json")) == made


def test_a_counterfact_file_is_read(tmp_path):
    asks = {"prompt": "{} was born in", "subject": "Ann", "target_new": {"str": "Bonn"}, "target_true": {"str": "Rome"}}
    row = {
        "requested_rewrite": asks,
        "paraphrase_prompts": ["Ann is from"],
        "neighborhood_prompts": ["Bob was born in"],
    }
    (tmp_path / "counterfact.json").write_text(json.dumps([row]))
    expected = Fact("{} was born in", "Ann", "Bonn", "Rome", ("Ann is from",), (("Bob was born in", "Rome"),))
    assert Facts.load(tmp_path / "counterfact.json") == Facts("counterfact", (expected,))


def relation(tmp_path, **changed):
    samples = [{"subject": f"s{i}", "object": f"o{i % 7}"} for i in range(30)]
    value = {"prompt_templates": ["{} has", "of {}"], "prompt_templates_zs": ["{} zs"], "samples": samples} | changed
    path = tmp_path / "relation.json"
    path.write_text(json.dumps(value))
    return path


def test_a_relation_file_gives_counterfactuals(tmp_path):
    found = Facts.load(relation(tmp_path))
    neighbours = {prompt for fact in found for prompt, _ in fact.neighbours}
    assert 10 < len(found) < 30 and {fact.prompt for fact in found} == {"{} zs"}
    assert not neighbours & {fact.asked for fact in found}
    assert all(fact.paraphrases == (f"{fact.subject} has", f"of {fact.subject}") for fact in found)
    assert all(answer != fact.target != fact.old for fact in found for _, answer in fact.neighbours)
    assert Facts.load(relation(tmp_path)) == found != Facts.load(relation(tmp_path), seed=1)


def test_another_template_of_a_relation_may_ask(tmp_path):
    found = Facts.load(relation(tmp_path), template=1)[0]
    assert found.prompt == "{} has" and found.paraphrases[0] == f"{found.subject} zs"
    with pytest.raises(ValueError, match="template=3 is none of them"):
        Facts.load(relation(tmp_path), template=3)


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1}', '{"format": "clew facts", "version": 1}'])
def test_a_file_of_something_else_is_an_error_that_names_it(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ValueError, match=r"x\.json"):
        Facts.load(tmp_path / "x.json")


def test_a_newer_file_is_refused(tmp_path):
    (tmp_path / "x.json").write_text('{"format": "clew facts", "version": 9}')
    with pytest.raises(ValueError, match="version 9, newer than 1"):
        Facts.load(tmp_path / "x.json")


SOME = st.builds(
    Fact,
    TEXT.map(lambda text: text.replace("{}", "") + " {}"),
    SAID,
    SAID,
    TEXT,
    st.lists(TEXT, max_size=2).map(tuple),
    st.lists(st.tuples(TEXT, TEXT), max_size=2).map(tuple),
)


@given(TEXT, st.lists(SOME, min_size=1, max_size=3), TEXT)
def test_any_facts_come_back_from_disk(tmp_path, name, some, note):
    facts = Facts(name, tuple(some), note)
    found = Facts.load(facts.save(tmp_path / "facts.json"))
    assert found == facts and found.hash == facts.hash


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"paraphrases": "text"}, r"facts\[0\]\.paraphrases is 'text'; a list is due"),
        ({"prompt": None}, r"facts\[0\]\.prompt is None; text is due"),
        ({"neighbours": ["ab"]}, r"neighbours\[0\] is 'ab'; a list is due"),
        ({"targte": "x"}, "has 'targte', which is none of"),
    ],
)
def test_a_fact_of_other_kinds_is_named_and_no_text_becomes_its_letters(tmp_path, change, said):
    import json

    path = Facts.one("{} is", "a", "b").save(tmp_path / "x.json")
    held = json.loads(path.read_text())
    held["facts"][0] |= change
    path.write_text(json.dumps(held))
    with pytest.raises(ValueError, match=rf"x\.json.*{said}"):
        Facts.load(path)


ROW = {
    "requested_rewrite": {
        "prompt": "{} was born in",
        "subject": "Ann",
        "target_new": {"str": "Bonn"},
        "target_true": {"str": "Rome"},
    },
    "paraphrase_prompts": ["Ann is from"],
    "neighborhood_prompts": ["Bob was born in"],
}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"paraphrase_prompts": "Ann is from"}, r"entry 0\.paraphrase_prompts is 'Ann is from'; a list is due"),
        ({"neighborhood_prompts": [3]}, r"entry 0\.neighborhood_prompts\[0\] is 3; text is due"),
        (
            {"requested_rewrite": ROW["requested_rewrite"] | {"target_new": "Bonn"}},
            "target_new is 'Bonn'; an object is due",
        ),
        ({"requested_rewrite": ROW["requested_rewrite"] | {"subject": None}}, "subject is None; text is due"),
    ],
)
def test_a_row_of_counterfact_is_typed(tmp_path, changed, said):
    (tmp_path / "counterfact.json").write_text(json.dumps([ROW | changed]))
    with pytest.raises(ValueError, match=rf"counterfact\.json.*{said}"):
        Facts.load(tmp_path / "counterfact.json")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"prompt_templates": "{} has"}, "prompt_templates is '{} has'; a list is due"),
        (
            {"prompt_templates": ["has {x}"]},
            r"prompt_templates\[0\] is 'has {x}'; it needs one {} where the subject goes",
        ),
        ({"prompt_templates_zs": ["{} and {}"]}, r"prompt_templates_zs\[0\] is '{} and {}'; it needs one {}"),
        ({"samples": [{"subject": "a", "object": 3}]}, r"samples\[0\]\.object is 3; text is due"),
        ({"samples": [{"subject": "a"}]}, r"samples\[0\] has no 'object'"),
        ({"samples": [{"subject": "a", "object": "b", "more": 1}]}, r"samples\[0\] has 'more'"),
    ],
)
def test_a_relation_is_typed(tmp_path, changed, said):
    with pytest.raises(ValueError, match=rf"relation\.json.*{said}"):
        Facts.load(relation(tmp_path, **changed))


@pytest.mark.parametrize("lost", ["prompt", "old", "paraphrases", "neighbours"])
def test_a_fact_of_ours_has_all_its_names(tmp_path, lost):
    path = Facts("mine", (FRANCE,)).save(tmp_path / "facts.json")
    value = json.loads(path.read_text())
    del value["facts"][0][lost]
    path.write_text(json.dumps(value))
    with pytest.raises(ValueError, match=rf"facts\.json.*facts\[0\] has no '{lost}'"):
        Facts.load(path)


def test_a_chat_is_no_prompt_of_a_fact_and_it_says_what_to_do():
    chat = ({"role": "user", "content": "What is the capital of {}?"},)
    for name, value in (("prompt", chat), ("paraphrases", (chat,)), ("neighbours", ((chat, "Rome"),))):
        fact = Fact("The capital of {} is", "France", "Rome")
        object.__setattr__(fact, name, value)  # beartype would be first to complain, in other words than a user sees
        with pytest.raises(ValueError, match=r"a prompt of a fact is .* must be a text; render .*apply_chat_template"):
            fact.__post_init__()
