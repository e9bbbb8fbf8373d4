"""Options that come from a method's or a measure's own signature: adding a file adds its options."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from functools import partial, wraps
from itertools import pairwise, zip_longest
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from cyclopts import Parameter

PLAIN = (str, int, float, bool, Path, type(None))
ADDRESSES = ("Site", "Weight")
"""Types that a function also takes as words."""


def options_of(
    room: str | Callable[[Sequence[str]], str], instead: Mapping[str, str] = MappingProxyType({})
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Mark a command whose `**options` are those of the file of a room that its `by` names.

    Args: room: its name, or what tells it from the words of the command line. instead: what `by` is by default when a
        certain option is given, as in {"--dictionary": "fit"}, and the room has it; the empty name where that option
        leaves nothing for `by` to say.
    """

    def mark(command: Callable[..., Any]) -> Callable[..., Any]:
        command.__dict__["room"], command.__dict__["instead"] = room, instead
        return command

    return mark


def with_options(command: Callable[..., Any], tokens: Sequence[str] | None) -> Callable[..., Any]:
    """The command with the options of the function that `--by` names in `tokens` (else its default).

    Without `tokens` the command is only listed, and nothing is loaded for it.

    A circuit, secrets and verdicts are given by their file, a model by its name, sites and weights by their address,
    positions as in "response" or "-1", and one or several of something without saying which. What a command line cannot
    give (functions, tensors) is left out; the command's own come first where two share a name. Raises: ValueError naming
    the near files of the room.
    """
    room = command.__dict__.get("room")
    if room is None:
        return command
    from clew.values import folded

    function = None
    own = {n: p for n, p in inspect.signature(command, eval_str=True).parameters.items() if p.kind is not p.VAR_KEYWORD}
    taken: list[inspect.Parameter] = []
    if tokens is not None:
        from clew.finder import load, names  # torch comes with it, which a list of commands must not wait for

        room = room if isinstance(room, str) else room(tokens)
        usual = (by for o, by in command.__dict__["instead"].items() if given(o, tokens) and by in ("", *names(room)))
        default = next(usual, own["by"].default)
        own["by"] = own["by"].replace(default=default)
        by = _value_of("--by", tokens) or default
        function = load(room, by) if by else None
        taken = _taken(function, typed(own.values()), room) if function else []

    loaders = {p.name: loader for p in taken if (loader := _loader(get_args(p.annotation)[0]))}
    taken = [_by_name(p) if p.name in loaders else p for p in taken]

    singles = {p.name for p in taken if _several(get_args(p.annotation)[0])}
    taken = [
        _fitted(p.replace(annotation=Annotated[_in_words(get_args(p.annotation)[0]), *p.annotation.__metadata__]))
        for p in taken
    ]

    @wraps(command)
    def called(*args: Any, **kwargs: Any) -> Any:
        loaded = {n: loaders[n](v) if n in loaders and v is not None else v for n, v in kwargs.items()}
        loaded |= {n: v[0] for n, v in loaded.items() if n in singles and isinstance(v, list) and len(v) == 1}
        mine = {n: v for n, v in loaded.items() if n in own}
        more = {n: v for n, v in loaded.items() if n not in own}
        return command(*args, **{"by": own["by"].default, **mine}, **(folded(function, more) if function else more))

    called.__dict__["__signature__"] = inspect.Signature([*own.values(), *taken])
    called.__annotations__ = {p.name: p.annotation for p in [*own.values(), *taken]}
    return called


def typed(parameters: Iterable[inspect.Parameter]) -> set[str]:
    """What can be typed for these parameters of a command: the fields of groups, and the others by their names."""
    names = set[str]()
    for parameter in parameters:
        names.add(parameter.name)
        if (group := group_of(parameter.annotation)) is not None:
            names |= {_name(field, hint) for field, hint in get_type_hints(group, include_extras=True).items()}
    return names


def group_of(annotation: Any) -> type | None:
    """The record whose fields are typed one by one; None for an option of its own."""
    inner = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    return inner if is_dataclass(inner) and isinstance(inner, type) else None


def _name(field: str, hint: Any) -> str:
    """A field's name as an option: its own, or that which its annotation gives it."""
    said = [name for part in get_args(hint) if isinstance(part, Parameter) for name in part.name or ()]
    return said[0].removeprefix("--").replace("-", "_") if said else field


def _taken(function: Callable[..., Any], own: set[str], room: str) -> list[inspect.Parameter]:
    """The options of a room's function that words can say and the command does not have itself, values field by field."""
    from clew.finder import load
    from clew.values import options

    helps, taken = told(function, partial(load, room)), list[inspect.Parameter]()
    for name, option in options(function).items():
        if name in own or not (_is_plain(option.hint) or _loader(option.hint)):
            continue
        help = fields_of(option.owner)[option.field] if option.owner else helps.get(name, "")
        annotation = Annotated[option.hint, _parameter(option.hint, help, function.__name__)]
        taken.append(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=option.default, annotation=annotation)
        )
    return taken


def fields_of(value: type) -> dict[str, str]:
    """The sentences under the fields of a class, by field."""
    (made,) = ast.parse(textwrap.dedent(inspect.getsource(value))).body
    assert isinstance(made, ast.ClassDef)
    return {
        ast.unparse(field.target): " ".join(ast.literal_eval(said.value).split())
        for field, said in pairwise(made.body)
        if isinstance(field, ast.AnnAssign) and isinstance(said, ast.Expr)
    }


def _loader(hint: Any) -> Callable[[str], Any] | None:
    """What makes of a word on the command line a thing of this type, by its file or name; None for other types."""
    types = {getattr(part, "__name__", ""): part for part in _parts(hint)}
    import clew

    if named := types.keys() & {"Circuit", "Secrets", "Verdicts"}:
        return types[named.pop()].load
    return clew.open if "Model" in types else _where if "Where" in types else None


def _where(word: str) -> Any:
    """Positions of a prompt from a word: every, prompt, response, answer, after-first, or indices such as -1 or 0,1."""
    from clew.sites import ANSWER, EVERY, PROMPT, RESPONSE, Where

    if re.fullmatch(r"-?\d+(,-?\d+)*", word):
        return Where.at(*map(int, word.split(",")))
    meant = (EVERY, PROMPT, RESPONSE, ANSWER, Where.after_first())
    known = {where.kind.replace("_", "-"): where for where in meant}
    if word not in known:
        raise ValueError(f"{word!r} names no positions; say {', '.join(known)}, or indices such as -1")
    return known[word]


def _several(hint: Any) -> bool:
    """Whether one of something may be given as it is, or several as a list."""
    kinds = [get_origin(part) in (list, tuple, Sequence) for part in _united(hint) if part is not type(None)]
    return any(kinds) and not all(kinds)


def _in_words(hint: Any) -> Any:
    """The type as a command line takes it: addresses as words, and always a list where there may be several."""
    if get_origin(hint) in (list, Sequence):
        return list[_in_words(get_args(hint)[0])]
    if get_origin(hint) not in (Union, types.UnionType):
        return hint
    parts = [_in_words(part) for part in get_args(hint) if getattr(part, "__name__", "") not in ADDRESSES]
    if _several(hint):
        parts = [part for part in parts if part is type(None) or get_origin(part) in (list, tuple)]
    return Union[tuple(parts)]  # noqa: UP007 - it is made of a list


def _united(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _by_name(parameter: inspect.Parameter) -> inspect.Parameter:
    hint, more = get_args(parameter.annotation)
    return parameter.replace(annotation=Annotated[str | None if _is_optional(hint) else str, more])


def _fitted(parameter: inspect.Parameter) -> inspect.Parameter:
    """With a default that is of the kind that is typed, as cyclopts checks where pydantic is loaded; shown as it was."""
    (hint, more), default = get_args(parameter.annotation), parameter.default
    if default is None or default is parameter.empty:
        return parameter
    kinds = [get_origin(part) or part for part in _united(hint)]
    fitting = default
    if list in kinds and not isinstance(default, (list, tuple)):
        fitting = [default]
    elif kinds == [str] and not isinstance(default, str):
        fitting = str(default)
    if fitting is default:
        return parameter
    shown = Parameter.combine(more, Parameter(show_default=lambda _: default))
    return parameter.replace(default=fitting, annotation=Annotated[hint, shown])


def arguments(docstring: str) -> dict[str, str]:
    """The sentences of a docstring's "Args:" part, by argument; `a, b: ...` speaks of both."""
    ends = r"\n\s*\n|(?:\n\s*|\. )(?:(?:Returns|Raises|Costs|Source|Yields|Example)\w*:|Differs )|\Z"
    part = re.search(rf"Args:(.*?)(?={ends})", docstring, re.DOTALL)
    text = " ".join(OTHERS.sub("", f"Args:{part[1]}" if part else "").removeprefix("Args:").split())
    found: dict[str, str] = {}
    starts = [*re.finditer(r"(?:^|(?<=[.;)] ))([a-z]\w*(?:, \w+)*): ", text)]
    for start, after in zip_longest(starts, starts[1:]):
        said = text[start.end() : after.start() if after else None].strip().rstrip(";")
        found |= dict.fromkeys(start[1].split(", "), said if said.endswith(".") else f"{said}.")
    return found


USUAL = {"seed": "Of what is drawn at random: the same seed, the same result.", "lr": "The rate of learning."}
"""What arguments mean everywhere, where a docstring says nothing else."""
OTHERS = re.compile(r"(Args:|[Tt]he others(?: are)?) as for `(\w+)`[^.]*\.?")
"""Says that all arguments that are not spoken of mean what they mean in another file of the room."""


def told(function: Callable[..., Any], load: Callable[[str], Callable[..., Any]]) -> dict[str, str]:
    """What a docstring says of arguments; where it says "as for `eap`", in the words that stand there.

    Args: load: a function of the same room by its name.
    """
    doc = function.__doc__ or ""
    others = OTHERS.search(doc)
    said = (told(load(others[2]), load) if others else {}) | arguments(doc)
    for name, words in said.items():
        if there := re.match(r"as for `(\w+)`", words):
            first = told(load(there[1]), load).get(name, "")
            said[name] = f"{first.rstrip('.')}{words[there.end() :]}" if first else ""
    return {**USUAL, **said}


def _parameter(hint: Any, help: str, by: str) -> Parameter:
    several = any(get_origin(part) in (list, tuple, Sequence) for part in _united(hint))
    return Parameter(
        help=help[:1].upper() + help[1:],
        group=f"Options of {by}",
        negative="" if _is_optional(hint) and bool not in get_args(hint) else None,
        consume_multiple=several,
    )


def _value_of(option: str, tokens: Sequence[str]) -> str | None:
    for token, following in zip(tokens, [*tokens[1:], None], strict=False):
        if token == option:
            return following
        if token.startswith(f"{option}="):
            return token.partition("=")[2]
    return None


def given(option: str, tokens: Sequence[str]) -> bool:
    return any(token == option or token.startswith(f"{option}=") for token in tokens)


def _is_optional(hint: Any) -> bool:
    return type(None) in get_args(hint)


def _is_plain(hint: Any) -> bool:
    """True for what words on a command line can say: numbers, texts, flags, choices, and lists of them."""
    words = str in _parts(hint)
    return all(
        part in PLAIN or get_origin(part) is Literal or (words and getattr(part, "__name__", "") in ADDRESSES)
        for part in _parts(hint)
    )


def _parts(hint: Any) -> Iterator[Any]:
    if get_origin(hint) in (Union, types.UnionType, list, tuple, Sequence):
        for inner in get_args(hint):
            yield from () if inner is Ellipsis else _parts(inner)
    else:
        yield hint
