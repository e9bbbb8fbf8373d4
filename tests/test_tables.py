"""Tables for people: everything given stands in them as text, and a frame needs pandas."""

import builtins

import pytest

from clew.tables import as_html, as_texts, frame


def test_what_is_given_is_text_and_never_markup() -> None:
    made = as_html("<b>title</b>", ["a & b"], [["<script>alert(1)</script>"]], ["1 < 2"])
    assert "<script>" not in made and "&lt;script&gt;" in made
    assert "&lt;b&gt;title" in made and "a &amp; b" in made and "1 &lt; 2" in made


def test_without_a_head_there_is_no_table() -> None:
    assert "<table" not in as_html("nothing", [], [])


def test_columns_of_numbers_stand_to_the_right() -> None:
    made = as_html("t", ["name", "value"], [["a 1", "-0.5"], ["2", "1,200 [1, 3]"], ["3", ""]])
    assert made.count('text-align:right">') == 4 and '<td style="text-align:left">2</td>' in made


def test_texts_keep_their_lines_and_are_never_markup() -> None:
    made = as_texts(["a\n  b", "<img>"], ["1 < 2"])
    assert "a\n  b" in made and "pre-wrap" in made and "&lt;img&gt;" in made and "1 &lt; 2" in made


def test_a_frame_has_the_columns_in_order() -> None:
    made = frame([{"b": 1, "a": "x"}, {"b": 2, "a": "y"}], ["a", "b"])
    assert list(made.columns) == ["a", "b"] and made["b"].tolist() == [1, 2]
    assert list(frame([], ["a"]).columns) == ["a"]


def test_without_pandas_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__
    monkeypatch.setattr(
        builtins, "__import__", lambda name, *a, **k: _none() if name == "pandas" else real(name, *a, **k)
    )
    with pytest.raises(ImportError, match=r"clew\[frames\]"):
        frame([], ["a"])


def _none() -> None:
    raise ImportError("no pandas here")
