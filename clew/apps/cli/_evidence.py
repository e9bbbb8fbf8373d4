"""The evidence that the user named: text, labelled texts, facts, secrets; and the files of edits."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import reduce
from itertools import chain
from operator import add
from pathlib import Path
from typing import Any

from clew.apps.cli._terminal import aside, working

USUAL_TEXT = (
    "The library opens at nine in the morning and closes at six in the evening.",
    "She put the letter back into the drawer and went down to the kitchen.",
    "Rain is expected in the north, while the coast will stay dry until Friday.",
)
"""What runs where only the equality of two runs matters."""


def text_windows(lens: Any, text: Sequence[str], tokens: int, context: int) -> Any:
    """Windows of files, folders, or texts that clew knows by name."""
    from clew.apps.cli.record import named_texts
    from clew.data.text.windows import cut

    with working("reading and cutting the text"):
        return cut(chain.from_iterable(map(named_texts, text)), lens.tokenizer, context=context, limit=tokens)


def usual_windows(lens: Any) -> Any:
    """A few sentences of ours."""
    from clew.data.text.windows import cut

    return cut(USUAL_TEXT, lens.tokenizer)


def labelled_texts(lens: Any, name: str) -> Any:
    """A file of labelled texts, all of whose columns but `text` are labels; or those that clew generates."""
    from clew.data.labels.bios import bios
    from clew.data.labels.first_letters import first_letters
    from clew.data.labels.labelled import Labelled
    from clew.data.labels.word_classes import word_classes

    path = Path(name)
    generated = {"bios": bios, "word_classes": word_classes, "first_letters": lambda: first_letters(lens)}
    if name in generated and not path.exists():
        return generated[name]()
    if not path.is_file():
        raise ValueError(f"there is no file {name} of labelled texts; clew generates {', '.join(generated)}")
    with path.open(encoding="utf-8") as file:
        try:
            first = json.loads(next(iter(file), "{}"))
        except json.JSONDecodeError as error:
            raise ValueError(
                f'{path} is no file of JSON lines ({error}); a line looks like {{"text": "...", "label": "..."}}. '
                f"Or name what clew generates: {', '.join(generated)}"
            ) from error
    return Labelled.load(path, labels=[column for column in first if column != "text"])


def facts_of(lens: Any, name: str) -> Any:
    """The facts of a file; for a number, that many of clew's own that the model knows."""
    from clew.data.facts.everyday import facts
    from clew.data.facts.facts import Facts

    if name.isdigit() and not Path(name).exists():
        with working(f"asking for {name} facts that the model knows"):
            found = facts(int(name), model=lens)
    else:
        found = Facts.load(name)
    if found.note:
        aside(found.note)
    return found


def secrets_of(name: Path) -> Any:
    """The secrets of a file."""
    from clew.data.facts.secrets import Secrets

    return Secrets.load(name)


def stack_of(paths: Sequence[Path], lens: Any) -> Any:
    """The edits of these files, one after the other."""
    from clew.stack import Stack

    return reduce(add, [Stack.load(path, lens) for path in paths])


def only_one(given: dict[str, bool], example: str) -> str:
    """The one that was given. Raises: ValueError where there is none, or more than one."""
    named = [name for name, there in given.items() if there]
    if len(named) != 1:
        raise ValueError(f"give one of {', '.join(given)}, {example}; given: {' and '.join(named) or 'none of them'}")
    return named[0]
