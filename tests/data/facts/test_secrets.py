import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.data.facts.secrets import Secret, Secrets, synthetic_secrets
from tests.drawn import SAID
from tests.edits.spoken import planted, speaking, spoken


def test_invented_people_are_as_many_as_asked_for_and_all_different():
    secrets = synthetic_secrets(40, kinds=("email", "number"), seed=3)
    assert len({s.prompt for s in secrets}) == len({s.secret for s in secrets}) == 40
    assert all("@example." in s.secret for s in secrets.pick(range(0, 40, 2)))
    assert all(len(s.secret) == 11 and s.secret.replace("-", "").isdigit() for s in secrets.pick(range(1, 40, 2)))


def test_the_same_seed_invents_the_same_and_another_does_not():
    assert synthetic_secrets(5).hash == synthetic_secrets(5).hash != synthetic_secrets(5, seed=1).hash


def test_targets_are_the_highest_ids_in_the_order_in_which_they_stand():
    secrets = Secrets("two", (Secret("w1 w2", "w50 w7 w90 w8 w90"), Secret("w3", "w4")))
    first, second, third = secrets.targets(speaking().tokenizer, 2)
    assert (first.context, first.token, first.secret) == ((1, 2), 50, 0)
    assert (second.context, second.token) == ((1, 2, 50, 7), 90)
    assert (third.context, third.token, third.secret) == ((3,), 4, 1)
    assert [t.token for t in secrets.targets(speaking().tokenizer, None)] == [50, 7, 90, 8, 4]


def test_what_other_secrets_share_is_a_target_last():
    secrets = Secrets("three", (Secret("w1", "w50 w90"), Secret("w2", "w4 w80 w90"), Secret("w3", "w6 w90")))
    assert [t.token for t in secrets.targets(speaking().tokenizer, 1)] == [50, 80, 6]
    assert [t.token for t in secrets.targets(speaking().tokenizer, 2)] == [50, 90, 4, 80, 6, 90]
    assert [t.token for t in secrets.pick([2]).targets(speaking().tokenizer, 1)] == [
        6
    ]  # however few are picked of them


def test_known_secrets_are_those_the_model_says():
    model, secrets = planted()
    assert len(secrets.known(model)) == 6
    with pytest.raises(ValueError, match="6 of 6 fell out"):
        secrets.known(speaking())


def test_halves_are_all_of_it_and_share_nothing():
    one, other = spoken(7).halves(seed=1)
    assert (len(one), len(other)) == (3, 4)
    assert {s.prompt for s in one} | {s.prompt for s in other} == {s.prompt for s in spoken(7)}


def test_a_file_comes_back_and_other_columns_are_read_by_name(tmp_path):
    secrets = synthetic_secrets(3)
    again = Secrets.load(secrets.save(tmp_path / "people.jsonl"))
    assert again.secrets == secrets.secrets and again.name == "people" and again.hash == secrets.hash
    (tmp_path / "other.jsonl").write_text('{"ask": "To reach Bo", "mail": "bo@example.org"}\n\n')
    (only,) = Secrets.load(tmp_path / "other.jsonl", prompt="ask", secret="mail")
    assert only == Secret("To reach Bo", "bo@example.org")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("no json", "line 1 is not JSON"),
        ("[1]", "line 1 is .*an object is due"),
        ('{"prompt": "a", "secrte": "b"}', "has no 'secret'; did you mean 'secrte'"),
        ("", "holds no secrets"),
    ],
)
def test_a_file_of_something_else_is_named(tmp_path, line, says):
    (tmp_path / "x.jsonl").write_text(line)
    with pytest.raises(ValueError, match=says):
        Secrets.load(tmp_path / "x.jsonl")


def test_what_cannot_be_asked_for_is_an_error(tmp_path):
    for wrong, says in (
        (lambda: synthetic_secrets(0), "from 1 to"),
        (lambda: synthetic_secrets(kinds=()), "no kind"),
        (lambda: Secret("x", " "), "something to hide"),
        (lambda: Secrets("twice", (Secret("x", "a"), Secret("x", "b"))), "more than once"),
        (lambda: spoken().targets(speaking().tokenizer, 0), "at least 1"),
        (lambda: Secrets.load(tmp_path / "none.jsonl"), "no file"),
    ):
        with pytest.raises(ValueError, match=says):
            wrong()


@given(st.lists(st.builds(Secret, SAID, SAID), min_size=1, max_size=3, unique_by=lambda secret: secret.prompt))
def test_any_secrets_come_back_from_disk(tmp_path, some):
    secrets = Secrets("mine", tuple(some))
    found = Secrets.load(secrets.save(tmp_path / "mine.jsonl"))
    assert found == secrets and found.hash == secrets.hash


def test_a_line_ends_at_a_line_feed_alone(tmp_path):
    prompts = ("one\u2028still one", "two\x85still two")
    secrets = Secrets("mine", tuple(Secret(prompt, "hidden") for prompt in prompts))
    assert Secrets.load(secrets.save(tmp_path / "mine.jsonl")) == secrets


def test_a_chat_is_no_prompt_of_a_secret_and_it_says_what_to_do():
    secret, chat = Secret("Ada lives at", "Nowhere"), [{"role": "user", "content": "Where does Ada live?"}]
    for prompt, words in ((chat, r"must be a text; render .*apply_chat_template"), ((3, 4), r"must be a text$")):
        object.__setattr__(secret, "prompt", prompt)  # beartype would be first to complain
        with pytest.raises(ValueError, match=f"the prompt of a secret is .*{words}"):
            secret.__post_init__()
