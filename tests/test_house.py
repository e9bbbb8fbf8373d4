"""The rules of the house, read off the source: imports point down, hooks live in models/, apps/ prints."""

import ast
import re
from pathlib import Path

HOUSE = Path(__file__).parent.parent / "clew"
FLOORS = {
    1: {
        "tables",
        "plots",
        "archives",
        "beside",
        "tensors",
        "doors",
        "sites",
        "near",
        "changes",
        "probing",
        "progress",
        "report",
        "labels",
        "files",
        "finder",
        "firings",
        "evidence",
        "signatures",
        "statistics",
        "scale",
        "values",
        "version",
    },
    2: {"circuits", "dictionaries", "stack"},
    3: {"models"},
    4: {"data"},
    5: {"readings"},
    6: {"methods", "measures", "edits", "probes", "explain", "training"},
    7: {"", "verbs", "provenance"},
    8: {"studies"},
    9: {"apps"},
}
"""The rooms of each floor, as in docs/house.md: imports point down, and rooms of one floor leave each other alone."""
ALONE = {2, 6, 8, 9}
"""Floors whose rooms may not import each other; on the others a file may use its neighbour."""
FLOOR = {room: floor for floor, rooms in FLOORS.items() for room in rooms}


def modules(house: Path) -> dict[str, ast.Module]:
    """Every module of the house by its dotted name, parsed."""
    found = {}
    for path in sorted(house.rglob("*.py")):
        parts = (house.name, *path.relative_to(house).with_suffix("").parts)
        name = ".".join(parts).removesuffix(".__init__")
        found[name] = ast.parse(path.read_text(encoding="utf-8"), str(path))
        found[name].is_package = path.name == "__init__.py"
    return found


def imports(name: str, tree: ast.Module, known: set[str]) -> set[str]:
    """The modules of the house that a module names in its import statements, wherever these stand."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            up = name.split(".")[: len(name.split(".")) - node.level + tree.is_package] if node.level else []
            base = ".".join([*up, *filter(None, [node.module])])
            found |= {f"{base}.{a.name}" if f"{base}.{a.name}" in known else base for a in node.names}
    return {m for m in found if m.split(".")[0] == name.split(".")[0]}


def room(module: str) -> str:
    return [*module.split("."), ""][1]


def crooked(house: Path) -> list[str]:
    """Every arrow that does not point down, or that joins two rooms of a floor where rooms stand alone."""
    found, trees = [], modules(house)
    for name, tree in trees.items():
        for other in sorted(imports(name, tree, set(trees))):
            mine, theirs = FLOOR[room(name)], FLOOR[room(other)]
            if theirs > mine or (mine == theirs and mine in ALONE and room(name) != room(other)):
                found.append(f"{name} (floor {mine}) imports {other} (floor {theirs})")
    return found


def circles(house: Path) -> list[str]:
    """Modules that import one another, at import time, later or for types only; each circle as its path."""
    trees = modules(house)
    arrows = {name: imports(name, tree, set(trees)) for name, tree in trees.items()}
    found, done = [], set()

    def walk(name: str, path: list[str]) -> None:
        if name in path:
            found.append(" -> ".join([*path[path.index(name) :], name]))
        elif name not in done:
            for other in sorted(arrows.get(name, ())):
                walk(other, [*path, name])
            done.add(name)

    for name in arrows:
        walk(name, [])
    return found


def strangers(house: Path) -> list[str]:
    """Private files (`_x.py`) that are imported from outside their folder and the folders in it."""
    trees = modules(house)
    return [
        f"{name} imports {other}"
        for name, tree in trees.items()
        for other in sorted(imports(name, tree, set(trees)))
        if other.rpartition(".")[2].startswith("_") and not f"{name}.".startswith(f"{other.rpartition('.')[0]}.")
    ]


def uses(house: Path, pattern: str, *, outside: str) -> list[str]:
    """Names and attributes that match `pattern`, in every room but one."""
    found = []
    for name, tree in modules(house).items():
        for node in ast.walk(tree):
            word = ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""
            if room(name) != outside and re.fullmatch(pattern, word):
                found.append(f"{name}:{node.lineno} {word}")
    return found


MOST = 12
"""Parameters of a function: put together, as one frozen value, what always travels together."""


def long_signatures(house: Path) -> list[str]:
    """Functions and methods of more than MOST parameters, not counting the `self` or `cls` of a method."""
    found = []
    for name, tree in modules(house).items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                given = node.args
                every = [*given.posonlyargs, *given.args, given.vararg, *given.kwonlyargs, given.kwarg]
                taken = [a for a in every if a and a.arg not in ("self", "cls")]
                found += [f"{name}.{node.name} takes {len(taken)}"] * (len(taken) > MOST)
    return found


def test_every_room_has_a_floor():
    assert {room(name) for name in modules(HOUSE)} <= set(FLOOR)


def placed(page: str) -> dict[str, int]:
    """The floor of every file and room in the table of docs/house.md; a line without a number is of the floor above it."""
    found, floor = {}, 0
    for number, names in re.findall(r"^\| *(\d*) *\|([^|]*)\|", page, re.MULTILINE):
        floor = int(number or floor)
        found |= dict.fromkeys(re.findall(r"`(\w+)(?:/|\.py)`", names), floor) if floor else {}
    return found


def test_the_table_of_the_house_has_every_file_and_room_on_its_floor():
    page = (HOUSE.parent / "docs" / "house.md").read_text(encoding="utf-8")
    there = {path.stem for path in HOUSE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert there - {"__init__"} == FLOOR.keys() - {""}
    assert placed(page.partition("Rules, each")[0]) == {room: floor for room, floor in FLOOR.items() if room}


def test_imports_point_down():
    assert crooked(HOUSE) == []


def test_no_circle():
    assert circles(HOUSE) == []


def test_what_is_private_is_private():
    assert strangers(HOUSE) == []


def test_only_models_touches_hooks():
    assert uses(HOUSE, r".*\.register_\w*hook\w*", outside="models") == []


def test_only_apps_prints():
    """And the line that says how far something is, for whoever asks for it."""
    found = uses(HOUSE, r"print|rich\.print|sys\.(stdout|stderr)", outside="apps")
    assert [use for use in found if not use.startswith("clew.progress:")] == []


def test_only_scale_speaks_to_torch_distributed():
    """Where work is spread over processes is written in one room; what is not spread asks there whether it is."""
    assert uses(HOUSE, r"(torch\.)?distributed(\..*)?|dist\..*", outside="scale") == []


def test_no_signature_is_longer_than_twelve():
    assert long_signatures(HOUSE) == []


def test_nothing_unpickles():
    assert uses(HOUSE, r"pickle\..*|joblib\..*", outside="nowhere") == []


READERS = {"files", "tensors", "archives"}
"""Rooms that read files for all others: what they give is typed, finite, in range and named."""
NO_FILES = {
    "clew.training.loop.checkpoint",  # compares what it would write with what is there
    "clew.studies.comparison.searches",  # words of the command line
    "clew.apps.cli._options",  # a docstring
    "clew.apps.pages.frame",  # files that lie beside it
    "clew.apps._front",  # likewise
    "clew.models.costs",  # what the system says of the process
    "clew.scale.who",  # likewise
    "clew.apps._desk.runs",  # likewise
    "clew.apps.cli.plan",  # what it says of the machine
    "clew.apps.cli._trial",  # what a child has said
    "clew.models.open",  # the first line of another library's error
}
"""Modules that parse something else than a file of the user's."""


def test_files_are_read_by_the_readers_alone():
    pattern = r"json\.loads?|(torch|np|numpy)\.load|.*safe_open|.*\.load_file|csv\..*|.*\.read_text|.*\.splitlines"
    found = [(use.partition(":")[0], use) for use in uses(HOUSE, pattern, outside="nowhere")]
    assert [use for module, use in found if room(module) not in READERS and module not in NO_FILES] == []


def small_house(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / "clew" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "clew"


def test_an_upward_arrow_is_seen_wherever_it_hides(tmp_path):
    house = small_house(tmp_path, {"sites.py": "def f():\n    from clew import models\n", "models/__init__.py": ""})
    assert crooked(house) == ["clew.sites (floor 1) imports clew.models (floor 3)"]


def test_an_arrow_between_two_rooms_of_one_floor_is_seen(tmp_path):
    files = {"methods/a.py": "from ..measures.b import x\n", "measures/b.py": "from clew.measures import c\n"}
    house = small_house(tmp_path, files | {"measures/c.py": ""})
    assert crooked(house) == ["clew.methods.a (floor 6) imports clew.measures.b (floor 6)"]


def test_a_circle_is_seen(tmp_path):
    files = {
        "data/a.py": "from clew.data import b\n",
        "data/b.py": "import clew.data.c\n",
        "data/c.py": "from . import a\n",
    }
    assert circles(small_house(tmp_path, files)) == ["clew.data.a -> clew.data.b -> clew.data.c -> clew.data.a"]


def test_a_hook_and_a_print_are_seen(tmp_path):
    house = small_house(tmp_path, {"data/a.py": "print(m.register_forward_hook(f))\n"})
    assert uses(house, r".*\.register_\w*hook\w*", outside="models") == ["clew.data.a:1 m.register_forward_hook"]
    assert uses(house, "print", outside="apps") == ["clew.data.a:1 print"]


def test_a_long_signature_is_seen(tmp_path):
    twelve = ", ".join(f"a{i}" for i in range(12))
    text = f"class A:\n    def f(self, {twelve}): ...\n    def g(self, {twelve}, *, b): ...\ndef h({twelve}, **more): ...\n"
    house = small_house(tmp_path, {"sites.py": text})
    assert sorted(long_signatures(house)) == ["clew.sites.g takes 13", "clew.sites.h takes 13"]
