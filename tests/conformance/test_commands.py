"""Every command: a sentence for the menu, every option explained, and nothing but options."""

import inspect

import pytest

from clew.apps.cli import commands


@pytest.mark.parametrize("name", sorted(commands()))
def test_it_explains_itself(name):
    command = commands([name])[name]
    doc = inspect.getdoc(command) or ""
    assert "." in doc.partition("\n\n")[0], "no first sentence"
    parameters = [p for p in inspect.signature(command).parameters.values() if p.kind is not p.VAR_KEYWORD]
    silent = [p.name for p in parameters if p.name != "json" and f"\n{p.name}\n" not in doc]
    assert not silent, f"clew {name} --help does not say what {', '.join(silent)} is"
    assert all(p.annotation is not p.empty for p in parameters)
