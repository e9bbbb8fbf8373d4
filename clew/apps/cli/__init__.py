"""clew, the command: `clew find`, `clew verify`, `clew show` and the rest of this folder.

The folder is the menu: every file holds one function of the file's name, and its signature is its options. Other
packages add commands by entry points of "clew.apps.cli".
Results go to stdout, everything else to stderr, which with --quiet gets errors alone.
Exit codes: 0 done, 1 the user can mend it, 2 usage, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cyclopts import App, CycloptsError
from rich.console import Console

from clew.apps.cli._options import with_options
from clew.apps.cli._terminal import quiet
from clew.finder import functions, load, names
from clew.version import VERSION

ROOM = "apps.cli"
ASIDE: dict[str, Any] = {"error_console": Console(stderr=True, highlight=False), "exit_on_error": False}
"""How cyclopts says what is wrong with the usage."""


def main(tokens: Sequence[str] | None = None) -> None:
    """Run the command line and exit. With CLEW_DEBUG set, errors keep their traceback."""
    sys.exit(run(sys.argv[1:] if tokens is None else list(tokens)))


def run(tokens: list[str]) -> int:
    """Run one command; its exit code."""
    words = [token for token in tokens if token != "--quiet"]
    before = quiet.set(len(words) < len(tokens))
    try:
        return exit_code(lambda: menu(words)(words, **ASIDE, result_action="return_value"))
    finally:
        quiet.reset(before)


def parsed(words: Sequence[str], **how: Any) -> tuple[Callable[[Mapping[str, Any]], Any], dict[str, Any]]:
    """A command to be called with what it is given, and what these words give it, by its parameters.

    Args: how: as for cyclopts, such as `print_error`.
    Raises: CycloptsError for words that it does not take.
    """
    tokens = list(words)
    command, bound, _ = menu(tokens).parse_args(tokens, **ASIDE | how)
    bound.apply_defaults()

    def call(given: Mapping[str, Any]) -> Any:
        bound.arguments.update(given)
        return command(*bound.args, **bound.kwargs)

    return call, dict(bound.arguments)


def exit_code(work: Callable[[], Any]) -> int:
    """Do it; what goes wrong is said in a sentence. The exit code."""
    stderr = Console(stderr=True, highlight=False)
    try:
        work()
    except CycloptsError:
        return 2  # cyclopts has said what is wrong with the usage
    except KeyboardInterrupt:
        stderr.print("clew: interrupted")
        return 130
    except BrokenPipeError:  # the reader has seen enough, as in `clew behaviours | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ValueError, KeyError, OSError, ImportError) as error:
        if os.environ.get("CLEW_DEBUG"):
            raise
        stderr.print(f"clew: {_sentence(error)}", markup=False, soft_wrap=True)
        return 1
    return 0


def menu(tokens: Sequence[str] = ()) -> App:
    """The commands; the one that `tokens` calls also takes the options of the method or measure it names."""
    app = App(
        name="clew",
        help="Follow the thread through a language model: find the features behind a behaviour, verify, name, edit.\n\n"
        "Any command takes --quiet, which leaves on stderr nothing but errors.",
        version=VERSION,
        default_parameter=None,
        suppress_keyboard_interrupt=False,
    )
    for name, command in commands(tokens[:1]).items():
        app.command(with_options(command, tokens[1:] if tokens[:1] == [name] else None), name=name)
    return app


def commands(called: Sequence[str] = ()) -> dict[str, Callable[..., Any]]:
    """The function of each file of this folder and of each entry point, by its name; of `called` that one alone."""
    known = {name.replace("_", "-"): name for name in names(ROOM)}
    if chosen := [name for name in called if name in known]:
        return {name: load(ROOM, known[name]) for name in chosen}
    return {name.replace("_", "-"): command for name, command in functions(ROOM).items()}


def _sentence(error: Exception) -> str:
    if isinstance(error, FileNotFoundError) and error.filename:
        return f"there is no file or folder {str(error.filename)!r} (here is {str(Path.cwd())!r})"
    if isinstance(error, IsADirectoryError) and error.filename:
        return f"{str(error.filename)!r} is a folder, and a file is wanted"
    return str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
