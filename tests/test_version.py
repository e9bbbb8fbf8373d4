"""One version, in one place: what a user, a receipt and a citation say is what is written there."""

import re
from pathlib import Path

import clew
from clew import provenance
from clew.apps.cli import run
from clew.version import VERSION

ROOT = Path(__file__).parent.parent


def test_the_citation_and_the_changelog_have_it_with_one_date():
    cited = (ROOT / "CITATION.cff").read_text()
    assert f"version: {VERSION}\n" in cited
    released = re.search(rf"^## {re.escape(VERSION)} \((\S+)\)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert released and f"date-released: {released[1]}\n" in cited


def test_users_and_receipts_read_it_there(capsys):
    assert clew.__version__ == VERSION == provenance.VERSION and re.fullmatch(r"\d+\.\d+\.\d+", VERSION)
    assert run(["--version"]) == 0 and capsys.readouterr().out == f"{VERSION}\n"


def test_the_build_finds_it_by_name():
    """hatch reads the line without running the file."""
    assert f'\nVERSION = "{VERSION}"\n' in (ROOT / "clew" / "version.py").read_text()
