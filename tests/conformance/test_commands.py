"""Every command: a sentence for the menu, every option explained, and nothing but options."""

import inspect
from collections import Counter
from dataclasses import fields

import pytest

from clew import finder
from clew.apps.cli import commands
from clew.apps.cli._options import fields_of, group_of, typed
from clew.values import options


@pytest.mark.parametrize("name", sorted(commands()))
def test_it_explains_itself(name):
    command = commands([name])[name]
    doc = inspect.getdoc(command) or ""
    assert "." in doc.partition("\n\n")[0], "no first sentence"
    parameters = [
        p for p in inspect.signature(command, eval_str=True).parameters.values() if p.kind is not p.VAR_KEYWORD
    ]
    groups = [group for p in parameters if (group := group_of(p.annotation)) is not None]
    single = [p.name for p in parameters if group_of(p.annotation) is None]
    silent = [option for option in single if option != "json" and f"\n{option}\n" not in doc]
    silent += [field for group in groups for field in unsaid(group)]
    assert not silent, f"clew {name} --help does not say what {', '.join(silent)} is"
    assert all(p.annotation is not p.empty for p in parameters)


def unsaid(group: type) -> set[str]:
    """The fields of a group of options that have no sentence under them."""
    classes = [kind for kind in group.__mro__ if group_of(kind) is not None]
    said = {field for kind in classes for field, words in fields_of(kind).items() if words}
    return {field.name for field in fields(group)} - said - {"json"}


@pytest.mark.parametrize("name", sorted(commands()))
def test_no_option_is_there_twice(name):
    parameters = list(inspect.signature(commands([name])[name], eval_str=True).parameters.values())
    counted = Counter(option for p in parameters for option in typed([p]) - {p.name})
    counted.update(p.name for p in parameters if group_of(p.annotation) is None)
    assert [option for option, times in counted.items() if times > 1] == []


ROOMS = [
    ("find", "methods"),
    ("edit", "edits"),
    ("train", "training.objectives"),
    *(("verify", f"measures.{kind}") for kind in ("circuits", "dictionaries", "edits")),
]


@pytest.mark.parametrize(("name", "room"), ROOMS)
def test_no_option_of_a_file_is_called_as_a_group_of_the_command(name, room):
    """It could not be typed: what is typed is a group's fields, and the group itself comes to the command by its name."""
    parameters = inspect.signature(commands([name])[name], eval_str=True).parameters.values()
    groups = {p.name for p in parameters if group_of(p.annotation) is not None}
    assert [file for file in finder.names(room) if groups & set(options(finder.load(room, file)))] == []
