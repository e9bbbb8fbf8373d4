"""The frame of every page: only what it holds itself may run or colour it, and no text becomes markup."""

import base64
import hashlib
import json
import re

import pytest

from clew.apps.pages import frame
from clew.apps.pages.frame import document, framed

HOSTILE = "</script><script>alert(1)</script><!-- <b>&"


@pytest.fixture(autouse=True)
def files(monkeypatch):
    """A page of ours and its styles; the frame itself is the real one."""
    own = {
        "toy.html": "<h1>{{title}}</h1>{{thread}}<main>{{units}}</main>",
        "toy.css": "main { color: red }",
        "other.css": "main { color: blue }",
    }
    real = frame._text
    monkeypatch.setattr(frame, "_text", lambda name: own.get(name) or real(name))


def hash_of(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def inside(page: str, tag: str) -> list[str]:
    return re.findall(rf"<{tag}(?: [^>]*)?>(.*?)</{tag}>", page, re.DOTALL)


def policy(page: str) -> dict[str, str]:
    """What is allowed, by directive."""
    (said,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    return dict(rule.split(maxsplit=1) for rule in said.split("; "))


def test_nothing_but_its_own_style_and_script_may_run():
    page = document("A title", "<p>one</p>", style="p { color: red }", script="let data = 1;", data={"a": 1})
    (style,), (_, script) = inside(page, "style"), inside(page, "script")
    assert policy(page) == {
        "default-src": "'none'",
        "script-src": hash_of(script),
        "style-src": hash_of(style),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert script == "let data = 1;" and style == "p { color: red }"


def test_a_page_without_a_script_has_no_script_and_allows_none():
    page = framed("toy", "A title", {"units": ""})
    assert "<script" not in page and "script-src" not in policy(page)


def test_data_come_through_whole_and_end_no_block():
    data = {"label": HOSTILE, "numbers": [0.1, 1e-300, None], "text": "é漢\u2028"}
    page = document("A title", "", style="", script="1", data=data)
    written, _ = inside(page, "script")
    assert json.loads(written) == data and page.count("<script") == page.count("</script>") == 2 and "<!--" not in page
    with pytest.raises(ValueError, match="Out of range float"):
        document("A title", "", style="", script="1", data={"a": float("nan")})


def test_a_title_is_words_in_the_tab_and_on_the_page():
    page = framed("toy", HOSTILE, {"units": ""})
    escaped = "&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;!-- &lt;b&gt;&amp;"
    assert inside(page, "title") == inside(page, "h1") == [escaped]


def test_what_is_put_into_a_hole_is_not_read_again():
    page = framed("toy", "{{units}}", {"units": "{{title}} {{policy}}"})
    assert inside(page, "main") == ["{{title}} {{policy}}"] and inside(page, "h1") == ["{{units}}"]


def test_styles_follow_one_another_after_the_frames():
    (style,) = inside(framed("toy", "A title", {"units": ""}, styles=("other", "toy")), "style")
    assert style == "".join(map(frame._text, ("frame.css", "other.css", "toy.css")))


def test_a_hole_that_nothing_fills_is_a_mistake_of_ours():
    with pytest.raises(KeyError, match="units"):
        framed("toy", "A title", {})


@pytest.mark.parametrize("name", ["comparison", "dictionary"])
def test_the_styles_of_every_page_are_one_block_and_fetch_nothing(name):
    text = frame._text(f"{name}.css")
    assert "</style" not in text and not re.search(r"@import|url\(|expression\(", text)
