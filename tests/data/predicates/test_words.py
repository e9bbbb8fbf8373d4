import pytest

from clew.data.predicates import words


@pytest.mark.parametrize(
    ("family", "piece", "values"),
    [
        (words.word, " The", ["the"]),
        (words.word, " ,", []),
        (words.word, "7th", ["7th"]),
        (words.prefix, " unit", ["u", "un", "uni"]),
        (words.suffix, " unit", ["t", "it", "nit"]),
        (words.suffix, "a1", []),
        (words.case, " the", ["words in lower case"]),
        (words.case, " The", ["words with a capital", "capitalised words"]),
        (words.case, "USA", ["words with a capital", "words in capitals"]),
        (words.case, "iPod", ["words with a capital"]),
        (words.case, "I", ["words with a capital", "capitalised words"]),
        (words.digits, " 1984", ["tokens with a digit", "numbers", "numbers of 4 digits"]),
        (words.digits, "7", ["tokens with a digit", "numbers"]),
        (words.digits, "B52", ["tokens with a digit"]),
        (words.punctuation, "!", ["punctuation", "marks that end a sentence"]),
        (words.punctuation, ".)", ["punctuation"]),
        (words.punctuation, "\n", []),
        (words.script, "дом", ["words in Cyrillic script"]),
        (words.script, "für", ["words with a letter outside a to z"]),
        (words.script, "écrit", ["words with a letter outside a to z"]),
        (words.script, "for", []),
        (words.shape, "\n", ["line breaks", "blanks"]),
        (words.shape, " a", ["tokens that begin with a blank", "single letters"]),
        (words.shape, "building", ["tokens without a blank before them", "words of eight letters or more"]),
    ],
)
def test_what_is_true_of_a_piece(family, piece, values):
    assert list(family(piece)) == values
