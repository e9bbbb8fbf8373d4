"""The evidence that the user named, in groups of options: text, labelled texts, facts, secrets; and the files of edits."""

# Annotations are evaluated here, not kept as strings: a group may be extended in another file, which lacks these names.
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from itertools import chain
from operator import add
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter

from clew.apps.cli._terminal import Several, aside, working

USUAL_TEXT = (
    "The library opens at nine in the morning and closes at six in the evening.",
    "She put the letter back into the drawer and went down to the kitchen.",
    "Rain is expected in the north, while the coast will stay dry until Friday.",
)
"""What runs where only the equality of two runs matters."""
Way = Callable[[Any], Any] | None
"""How to come by something that can be given, for a model; None where it was not given."""
as_evidence = Parameter(name="*", group=Group("Evidence", sort_key=1))
"""Each field is an option of its own, under a title with what else something is computed from or measured on."""


@as_evidence
@dataclass(frozen=True)
class Evidence:
    """What an edit is computed from or measured on, beside a behaviour."""

    facts: str | None = None
    """A file of facts (ours, CounterFact, LRE), or a number: that many of clew's own that the model knows."""
    secrets: Path | None = None
    """JSON lines of prompts and what must not follow them."""
    labelled: str | None = None
    """JSON lines of labelled texts, or `bios`, `word_classes`, `first_letters`, which clew generates."""

    def __bool__(self) -> bool:
        return any(self.ways().values())

    def ways(self) -> dict[str, Way]:
        """How to come by each of them, by its option."""
        return {
            "--facts": partial(facts_of, self.facts) if self.facts else None,
            "--secrets": partial(secrets_of, self.secrets) if self.secrets else None,
            "--labelled": partial(labelled_texts, self.labelled) if self.labelled else None,
        }


@as_evidence
@dataclass(frozen=True)
class Text:
    """Text for a model to read."""

    text: Annotated[tuple[str, ...], Several] = ()
    """Files or folders of text, or `wikipedia`."""
    tokens: int | None = 20_000
    """How much of the text."""
    context: int = 64
    """Longest window of the text in tokens."""

    def windows(self, view: Any) -> Any:
        """The text, cut as this model reads it."""
        from clew.data.text.windows import cut

        with working("reading and cutting the text"):
            texts = chain.from_iterable(map(named_texts, self.text))
            return cut(texts, view.tokenizer, context=self.context, limit=self.tokens)


def only_one(ways: Mapping[str, Way], example: str) -> Callable[[Any], Any]:
    """The one way that was given. Raises: ValueError where there is none, or more than one."""
    found = {name: way for name, way in ways.items() if way}
    if len(found) != 1:
        raise ValueError(f"give one of {', '.join(ways)}, {example}; given: {' and '.join(found) or 'none of them'}")
    return next(iter(found.values()))


def named_texts(name: str, chat: bool = False, field: str | None = None, split: str = "train") -> Iterator[Any]:
    """The texts, or chats, of a file, a folder, `wikipedia`, or hub:OWNER/NAME."""
    from clew.data.text import texts as text

    where = field or ("messages" if chat else "text")
    if name.startswith("hub:"):
        return (text.hub_chats if chat else text.hub_texts)(name.removeprefix("hub:"), split=split, field=where)
    if name == "wikipedia" and not chat and not Path(name).exists():
        return iter(text.shuffled_texts(text.wikipedia_leads()))  # they come by topic, and few are read
    return (text.stream_chats if chat else text.stream_texts)(name, where)


def usual_windows(view: Any) -> Any:
    """A few sentences of ours."""
    from clew.data.text.windows import cut

    return cut(USUAL_TEXT, view.tokenizer)


def labelled_texts(name: str, view: Any) -> Any:
    """A file of labelled texts, all of whose columns but `text` are labels; or those that clew generates."""
    from clew.data.labels.bios import bios
    from clew.data.labels.first_letters import first_letters
    from clew.data.labels.labelled import Labelled
    from clew.data.labels.word_classes import word_classes

    path = Path(name)
    generated = {"bios": bios, "word_classes": word_classes, "first_letters": lambda: first_letters(view)}
    if name in generated and not path.exists():
        return generated[name]()
    if not path.is_file():
        raise ValueError(f"there is no file {name} of labelled texts; clew generates {', '.join(generated)}")
    return Labelled.load(path)


def facts_of(name: str, view: Any) -> Any:
    """The facts of a file; for a number, that many of clew's own that the model knows."""
    from clew.data.facts.everyday import facts
    from clew.data.facts.facts import Facts

    if name.isdigit() and not Path(name).exists():
        with working(f"asking for {name} facts that the model knows"):
            found = facts(int(name), model=view)
    else:
        found = Facts.load(name)
    if found.note:
        aside(found.note)
    return found


def secrets_of(name: Path, _: Any) -> Any:
    """The secrets of a file."""
    from clew.data.facts.secrets import Secrets

    return Secrets.load(name)


def stack_of(paths: Sequence[Path], view: Any) -> Any:
    """The edits of these files, one after the other."""
    from clew.stack import Stack

    return reduce(add, [Stack.load(path, view) for path in paths])
