"""Every example runs: each `>>>` of the package, each block of README.md and docs/ as a reader would type it in.

An example in a docstring sees its module's names and those of `tests/stage.py`. The Python blocks of a page run one after
the other and share their names, in an empty folder; nothing is set up for them, so what a page uses a page defines.
"""

import ast
import doctest
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from tests.stage import names

ROOT = Path(__file__).parent.parent
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """Every string that stands alone in a module, also below a field, and the line it starts in."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno - 1, node.value.value


def examples(path: Path) -> list[doctest.DocTest]:
    """The examples of a module, those of one docstring together."""
    found = []
    for line, said in docstrings(path):
        test = doctest.DocTestParser().get_doctest(said, {}, f"{path.relative_to(ROOT)}:{line + 1}", str(path), line)
        found += [test] if test.examples else []
    return found


MODULES = sorted((ROOT / "clew").rglob("*.py"))
EXAMPLES = [test for path in MODULES for test in examples(path)]


@pytest.mark.parametrize("test", EXAMPLES, ids=lambda test: test.name)
def test_an_example_in_a_docstring_says_what_comes_out(
    test: doctest.DocTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLEW_CACHE", str(tmp_path / "cache"))
    module = Path(test.filename).relative_to(ROOT).with_suffix("")
    test.globs = names() | vars(import_module(".".join(module.parts).removesuffix(".__init__")))
    said: list[str] = []
    doctest.DocTestRunner(optionflags=FLAGS).run(test, out=said.append)
    assert not said, "".join(said)


def test_no_example_of_a_docstring_is_passed_over() -> None:
    written = [line for path in MODULES for line in path.read_text(encoding="utf-8").splitlines() if ">>>" in line]
    assert len(written) == sum(len(test.examples) for test in EXAMPLES)
    assert [line for line in written if "SKIP" in line] == []


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> list[tuple[int, str]]:
    """The fenced blocks of a page in a language ("" for what is typed into a shell), each with the line it starts in."""
    text = page.read_text(encoding="utf-8")
    found = ((text.count("\n", 0, match.start(2)), match[1], match[2]) for match in FENCE.finditer(text))
    return [(line, code) for line, said, code in found if said == language]


def typed(page: Path) -> dict[str, object]:
    """The names a reader has who typed all Python blocks of a page, one after the other."""
    here: dict[str, object] = {"__name__": "__main__"}
    for line, code in blocks(page, "python"):
        exec(compile("\n" * line + code, str(page), "exec"), here)
    return here


@pytest.mark.real
@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python") and p.name != "extend.md"], ids=lambda p: p.name)
def test_a_page_can_be_typed_in(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    typed(page)
