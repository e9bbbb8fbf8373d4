"""The spelling prompt: a word of the vocabulary, worked examples before it, and where the word stands."""

import pytest

from clew.data.labels.first_letters import first_letters

WORDS = "cat cow dog dot apple ant bee bat egg fog".split()
ASK = "has the first letter:"


class Marked:
    """A tokenizer whose words carry the space before them; what it does not know has no token of its own."""

    def __init__(self, *tokens: str) -> None:
        self.vocabulary = {token: i for i, token in enumerate(tokens)}

    def get_vocab(self) -> dict[str, int]:
        return self.vocabulary

    def __call__(self, text: str | list[str], **_: bool) -> dict[str, list]:
        if isinstance(text, list):
            return {"input_ids": [self(one)["input_ids"] for one in text]}
        return {"input_ids": [self.vocabulary.get(f"Ġ{word}", 99) for word in text.split()]}

    def decode(self, ids: list[int]) -> str:
        return next((token.replace("Ġ", " ") for token, i in self.vocabulary.items() if [i] == ids), "?")


def asked(text: str) -> str:
    """The word that a prompt ends with."""
    return text.split("\n")[-1].split()[0]


def test_first_letters_stand_at_their_word(toy):
    model = toy(*WORDS, ASK)
    made = first_letters(model, shots=2)
    assert set(WORDS) <= set(map(asked, made.texts)) and made.position == -5
    for text, letter in zip(made.texts, made["letter"], strict=True):
        word = model.tokenizer.decode([model.ids(text)[made.position]])
        assert word[0] == letter and text.count("\n") == 2 and f"\n {word} {ASK}" in text
        assert all(line.split()[0] != word for line in text.split("\n")[:-1])


def test_a_worked_example_gives_the_letter_in_upper_case(toy):
    for text in first_letters(toy(*WORDS, ASK), shots=3).texts:
        *examples, question = text.split("\n")
        assert [line for line in examples if line != f" {line.split()[0]} {ASK} {line.split()[0][0].upper()}"] == []
        assert len(examples) == 3 and question == f" {asked(text)} {ASK}"


def test_of_a_letter_the_words_of_the_lowest_ids_are_taken():
    made = first_letters(Marked("Ġcow", "Ġcat", "Ġcod", "Ġdog", "Ġape"), per_letter=2, shots=1)
    assert [asked(text) for text in made.texts] == ["ape", "cow", "cat", "dog"]
    assert made["letter"] == ("a", "c", "c", "d")


def test_where_words_are_marked_what_is_not_is_the_inside_of_a_word():
    made = first_letters(Marked("cat", "Ġdog", "ing", "ĠCat", "Ġan", "Ġapes", "Ġbe2", "Ġému"), shots=1)
    assert [asked(text) for text in made.texts] == ["apes", "dog"]


def test_the_seed_draws_the_examples_and_nothing_else(toy):
    one, again, other = (first_letters(toy(*WORDS, ASK), seed=seed) for seed in (1, 1, 2))
    assert one == again != other and list(map(asked, one.texts)) == list(map(asked, other.texts))


def test_first_letters_needs_words(toy):
    with pytest.raises(ValueError, match="2 lower-case words of one token; a prompt takes 4"):
        first_letters(toy("Cat dog cow X1"))
    assert len(first_letters(Marked("Ġdog", "Ġcow"), shots=1)) == 2
    with pytest.raises(ValueError, match="a prompt takes 3"):
        first_letters(Marked("Ġdog", "Ġcow"), shots=2)


def test_a_tokenizer_that_cuts_every_word_is_refused():
    class Cut(Marked):
        def decode(self, ids: list[int]) -> str:
            return "half"

    with pytest.raises(ValueError, match="stands nowhere from the end"):
        first_letters(Cut("Ġdog", "Ġcow", "Ġape"), shots=1)
