"""The public face: what may be relied on. A name is added or taken away here and in CHANGELOG.md, knowingly."""

import builtins

import clew

VERBS = {"cut", "edit", "explain", "find", "index", "open", "probe", "record", "train", "verify"}
EVIDENCE = {"Behaviour", "Fact", "Facts", "Labelled", "Pair", "Secrets", "Windows"}
EDITS = {"Add", "Clamp", "Edit", "Gate", "Mix", "Project", "Scale", "Set", "Steer", "Update"}
RESULTS = {
    "Circuit",
    "Dictionary",
    "EditDidNotFire",
    "Generation",
    "Index",
    "Node",
    "Probe",
    "Report",
    "Stack",
    "Store",
    "Trace",
}
REST = {"Ablation", "Asks", "Model", "Plan", "Progress", "Site", "Weight", "Where"}


def test_the_public_names_are_these():
    assert set(clew.__all__) | {"open"} == VERBS | EVIDENCE | EDITS | RESULTS | REST


def test_every_public_name_is_there_and_said():
    for name in (*clew.__all__, "open"):
        value = getattr(clew, name)
        assert name in dir(clew)
        assert (value.__doc__ or "").strip(), f"clew.{name} has no docstring"


def test_a_star_import_leaves_the_builtins_alone():
    names: dict[str, object] = {}
    exec("from clew import *", names)
    assert names.get("open") in (None, builtins.open)
    assert not set(clew.__all__) & set(dir(builtins))
