"""llms.txt and AGENTS.md: laid out as their readers expect, and every page and command in them is there."""

import re
from pathlib import Path

import pytest

from clew.apps.cli import commands

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"\[[^\]]+\]\(([^)#]+)[^)]*\)")


def test_llms_begins_with_a_name_and_a_summary_and_then_lists_pages():
    name, _, summary, *rest = (ROOT / "llms.txt").read_text(encoding="utf-8").splitlines()
    assert name == "# clew" and summary.startswith("> ")
    sections = "\n".join(rest).partition("\n## ")[2]
    lines = [line for line in sections.splitlines()[1:] if line and not line.startswith("## ")]
    assert lines and all(re.fullmatch(r"- \[[^\]]+\]\([^)]+\)(: .+)?", line) for line in lines)


@pytest.mark.parametrize("page", ["llms.txt", "AGENTS.md"])
def test_what_is_linked_and_named_there_is_there(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert [link for link in LINK.findall(text) if not (ROOT / link).is_file()] == []
    named = set(re.findall(r"`clew ([a-z][a-z-]*)", text))
    assert named and named <= set(commands())
