import pytest

from clew.studies.atlas.corpus import Corpus


def test_sources_are_mixed_and_every_text_knows_its_own():
    made = Corpus.of({"a": [f"a{i}" for i in range(30)], "b": (f"b{i}" for i in range(30))})
    assert all(made.names[s] == text[0] for s, text in zip(made.source, made.texts, strict=True))
    assert len(set(made.source[:20])) == 2 and made.texts[:3] != ("a0", "a1", "a2")
    assert made.hash == Corpus.of({"a": [f"a{i}" for i in range(30)], "b": [f"b{i}" for i in range(30)]}).hash
    assert made.hash != Corpus.of({"a": ["a0"], "b": ["b0"]}).hash


def test_a_corpus_has_text():
    with pytest.raises(ValueError, match="there is no text"):
        Corpus.of({"a": []})
