"""Every example runs: each `>>>` of the package, each block of README.md and docs/ as a reader would type it in.

An example in a docstring sees its module's names and those of `tests/stage.py`. The Python blocks of a page run one after
the other and share their names, in an empty folder; nothing is set up for them, so what a page uses a page defines.
"""

import ast
import doctest
import json
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from cyclopts import CycloptsError

import clew
from clew.apps.cli import commands, menu
from clew.data.labels.labelled import Labelled
from clew.data.planted import induction
from clew.dictionaries.packs import GROUP
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
@pytest.mark.parametrize(
    "page", [p for p in PAGES if blocks(p, "python") and p.name != "extend.md"], ids=lambda p: p.name
)
def test_a_page_can_be_typed_in(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    typed(page)


def lines(page: Path) -> list[tuple[str, list[str]]]:
    """What a page types into a shell: each command with where it stands, comments left out and broken lines joined."""
    found = []
    for line, code in blocks(page, ""):
        for said in code.replace("\\\n", " ").splitlines():
            if words := shlex.split(said, comments=True):
                found.append((f"{page.name}:{line + 1} {said}", words))
    return found


def refused(words: list[str]) -> str:
    """Why a line typed into a shell cannot work, as far as can be told without running it; nothing if it can."""
    program, *rest = words
    if program == "make":
        targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        return "" if set(rest) <= set(targets) else f"make has no target {rest}"
    if program == "pytest":
        return "" if (ROOT / rest[0]).exists() else f"there is no {rest[0]}"
    if program != "clew":
        return f"nobody knows {program}"
    if rest[0] not in commands():
        return f"clew has no command {rest[0]!r}"
    try:
        menu(rest).parse_args(rest, exit_on_error=False, print_error=False)
    except (CycloptsError, ValueError) as error:
        return str(error)
    return ""


LINES = [one for page in PAGES for one in lines(page)]


@pytest.mark.parametrize(("where", "words"), LINES, ids=[where for where, _ in LINES])
def test_a_line_for_the_shell_is_one_that_the_command_line_takes(where: str, words: list[str]) -> None:
    assert not refused(words)


@pytest.mark.parametrize(
    "typo",
    [
        "clew fnid smollm2-135m ioi",
        "clew find smollm2-135m ioi --bye eap",
        "clew find smollm2-135m ioi --by eep",
        "clew find smollm2-135m ioi --by acdc --stepz 3",
        "clew find smollm2-135m",
        "make tests",
        "pytest tests/no.py",
    ],
)
def test_a_line_that_cannot_work_is_seen(typo: str) -> None:
    assert refused(typo.split())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_the_sentences_of_a_page_exist(page: Path) -> None:
    named = re.findall(r"`clew ([a-z][\w-]*)", page.read_text(encoding="utf-8"))
    assert set(named) <= set(commands())


def test_plans_in_a_page_are_plans() -> None:
    read = [clew.Plan(**plan) for page in PAGES for _, code in blocks(page, "json") for plan in json.loads(code)]
    assert [plan.by for plan in read] == ["transcoder", "crosscoder"]


def test_entry_points_in_a_page_are_of_rooms_that_there_are() -> None:
    read = [tomllib.loads(code)["project"]["entry-points"] for page in PAGES for _, code in blocks(page, "toml")]
    groups = {group for groups in read for group in groups}
    assert groups and all(group == GROUP or (ROOT / group.replace(".", "/")).is_dir() for group in groups)


def test_every_block_is_of_a_kind_that_is_checked() -> None:
    fences = sum(page.read_text(encoding="utf-8").count("\n```") for page in PAGES)
    kinds = [blocks(page, kind) for page in PAGES for kind in ("python", "", "json", "toml")]
    assert 2 * sum(map(len, kinds)) == fences


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """A package of another house with a file for each block of extend.md, found by entry points."""
    room = {"mine": "methods", "halfway": "methods", "sparseness": "measures.circuits", "without": "edits"}
    package = tmp_path / "stranger"
    package.mkdir()
    for name, (_, code) in zip(room, blocks(ROOT / "docs" / "extend.md", "python"), strict=True):
        (package / f"{name}.py").write_text(code)
    (tmp_path / "stranger-1.0.dist-info").mkdir()
    (tmp_path / "stranger-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n"
    )
    (tmp_path / "stranger-1.0.dist-info" / "entry_points.txt").write_text(
        "[clew.methods]\nmine = stranger.mine:mine\nhalfway = stranger.halfway:halfway\n"
        "[clew.measures.circuits]\nsparseness = stranger.sparseness:sparseness\n"
        "[clew.edits]\nwithout = stranger.without:mine\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield room
    for name in [name for name in sys.modules if name.split(".")[0] == "stranger"]:
        del sys.modules[name]


def test_a_method_of_a_stranger_finds_what_is_planted(stranger: dict[str, str]) -> None:
    planted = induction(n=8)
    view = planted.model.components()
    found = clew.find(view, planted.behaviour, by="mine")
    report = clew.verify(view, planted.behaviour, found, by="recovery", truth=planted.nodes)
    assert report["recall"].value >= 0.75  # at the patch run the head that looks at the word before matters to nothing


def test_a_search_of_a_stranger_finds_the_planted_edges(stranger: dict[str, str]) -> None:
    planted = induction(n=8)
    found = clew.find(planted.model, planted.behaviour, by="halfway")
    report = clew.verify(planted.model, planted.behaviour, found, by="recovery", truth=planted.circuit)
    assert {row.of: row.value for row in report.rows if row.measure == "recall"}["edges"] > 0.8


def test_a_measure_of_a_stranger_says_its_share(stranger: dict[str, str]) -> None:
    planted = induction(n=8)
    view = planted.model.components()
    found = clew.find(view, planted.behaviour, by="attribution_patching", positions=False)
    units = sum(dictionary.n_units for dictionary in view.dictionaries.values())
    report = clew.verify(view, planted.behaviour, found.top(3), by="sparseness")
    assert report["share of units"].value == pytest.approx(3 / units)


def test_an_edit_of_a_stranger_takes_out_what_it_says(stranger: dict[str, str]) -> None:
    model = names()["model"]
    texts = ("She sold the old boat .", "The girl is at sea .")
    stack = clew.edit(model, Labelled("two", texts, {"kind": ("a", "b")}), by="without")
    (edit,) = stack
    held = model.edited(stack).run(texts[0], read=["resid.1"])["resid.1"]
    assert (held @ edit.directions[0]).abs().max() < 1e-9 * edit.directions.norm()


def test_a_page_that_uses_a_name_it_never_defines_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\nx = 1\n```\n\nThen\n\n```python\nassert x == 1\ny = z\n```\n")
    with pytest.raises(NameError, match="'z'"):
        typed(page)


def test_an_example_that_says_something_else_is_seen() -> None:
    test = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, None)
    assert doctest.DocTestRunner(optionflags=FLAGS).run(test, out=lambda said: None).failed == 1
