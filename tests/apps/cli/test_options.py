"""Types of a function's options as a command line takes them."""

import contextlib
import importlib
import re
from collections.abc import Sequence
from inspect import signature

import pytest

from clew import finder
from clew.apps.cli import _options, commands, run
from clew.apps.cli.edit import Given, Ordinary
from clew.circuits.circuit import Circuit
from clew.readings.ablation import Ablation
from clew.sites import Site, Weight, Where
from tests.apps.cli.toys import steady


def test_addresses_are_words_and_one_or_several_are_a_list():
    assert _options._in_words(Sequence[Site | str] | None) == list[str] | None
    assert _options._in_words(Weight | str) is str
    assert _options._in_words(float | Sequence[float]) == list[float]
    assert _options._in_words(tuple[float, float]) == tuple[float, float]
    assert [_options._several(h) for h in (int | Sequence[int], Sequence[int] | None, int | None)] == [
        True,
        False,
        False,
    ]


def test_an_address_that_takes_no_words_is_left_out():
    assert _options._is_plain(Sequence[Site | str]) and not _options._is_plain(Site | None)


def test_positions_are_read_from_a_word():
    read = _options._loader(Where)
    assert read and [read(w) for w in ("response", "-1", "0,-2")] == [Where("response"), Where.at(-1), Where.at(0, -2)]
    with pytest.raises(ValueError, match="say every, prompt, response, answer, after-first, or indices"):
        read("token")


def test_a_circuit_is_read_from_its_file():
    assert _options._loader(Circuit | None) == Circuit.load and _options._loader(int) is None


def test_the_sentences_under_fields_are_their_help():
    assert _options.fields_of(Ablation)["start"] == (
        "Sites of layers below this one, and the embedding, are left alone."
    )
    assert set(_options.fields_of(Ablation)) == set(Ablation.__dataclass_fields__)


def test_an_option_at_the_end_of_the_line_is_seen():
    assert _options.given("--undo", ["m", "--undo"]) and _options.given("--undo", ["--undo=true"])
    assert not _options.given("--undo", ["--undoing"])


def test_the_fields_of_a_group_are_options_by_the_name_they_are_typed_by():
    def command(model: str, /, *, given: Given = Given(), ordinary: Ordinary = Ordinary(), by: str = "") -> None: ...  # noqa: B008

    names = _options.typed(signature(command).parameters.values())
    assert {"model", "by", "facts", "prompt", "context", "text_tokens"} < names and "tokens" not in names


def test_an_option_of_the_file_is_left_to_the_command_that_has_it(capsys):
    """`verify --edit` takes text of its own, so locality's `tokens`, how many run at once, is not an option beside it."""
    assert run("verify m --edit e.safetensors --by locality --help".split()) == 0
    told = capsys.readouterr().out
    assert told.count("--tokens") == 1 and "--controls" in told


def test_arguments_reads_our_docstrings():
    assert _options.arguments(steady.__doc__) == {
        "steps": "points on the line, in number.",
        "mode": "how.",
        "exact": "how.",
    }
    assert _options.arguments('"""One.\n\n    Args: by: a file. seed: of chance.\n    Returns: x"""')["by"].startswith(
        "a file."
    )


def test_an_argument_keeps_all_its_lines_and_none_of_the_next():
    doc = """One.

    Args:
        a, b: one line
            and the next (see below). c: in the middle of a line.
        d: the last. Differs from the paper: much.
    """
    both = "one line and the next (see below)."
    assert _options.arguments(doc) == {"a": both, "b": both, "c": "in the middle of a line.", "d": "the last."}


def test_what_is_as_for_another_file_is_said_in_its_words():
    def first(a, b, seed): ...
    def second(a, b): ...
    def third(a, b): ...

    first.__doc__ = "One.\n\n    Args: a: how many. b: which."
    second.__doc__ = "Two.\n\n    Args: b: as for `first`, but no others. The others are as for `first`."
    third.__doc__ = "Three.\n\n    Args: as for `second`."
    files = {"first": first, "second": second}
    for function in (second, third):
        said = _options.told(function, files.__getitem__)
        assert (said["a"], said["b"]) == ("how many.", "which, but no others.") and said["seed"]


@pytest.mark.parametrize(
    "room",
    [
        "methods",
        "measures.circuits",
        "measures.dictionaries",
        "measures.edits",
        "edits",
        "probes",
        "training.objectives",
    ],
)
def test_no_help_sends_its_reader_to_another_file(room):
    """`clew find --help` shows one method; "as for attribution patching" tells its reader nothing."""
    for name, function in finder.functions(room).items():
        helps = {p.name: p.annotation.__metadata__[0].help for p in _options._taken(function, set(), room)}
        sent = {n: h for n, h in helps.items() if re.search("as for |as in `|see above|see clew/", h, re.IGNORECASE)}
        assert not sent, f"{name}: {sent}"


def test_by_is_found_in_both_spellings():
    for tokens in (["a", "--by", "x"], ["--by=x", "a"]):
        assert _options._value_of("--by", tokens) == "x"
    assert _options._value_of("--by", ["--through", "by"]) is None


@pytest.mark.parametrize("room", ["methods", "edits"])
def test_every_default_is_of_the_kind_that_is_typed(room):
    """Which cyclopts asks pydantic about, where something else has loaded that."""
    pydantic = importlib.import_module("pydantic")
    command = {"methods": "find", "edits": "edit"}[room]
    for by in finder.names(room):
        made = _options.with_options(commands()[command], ["--by", by])
        for p in signature(made).parameters.values():
            if p.default is not p.empty:
                with contextlib.suppress(pydantic.PydanticUserError):
                    pydantic.TypeAdapter(p.annotation).validate_python(p.default)
