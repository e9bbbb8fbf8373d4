"""The options of commands that ask a language model."""

# Annotations are evaluated here, not kept as strings: a group may be extended in another file, which lacks these names.
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cyclopts import Group, Parameter

from clew.apps.cli._terminal import aside, working


@Parameter(name="*", group=Group("Language model", sort_key=5))
@dataclass(frozen=True)
class Asking:
    """Who is asked, by explainers and scorers that ask a language model."""

    asks: str | None = None
    """An address of the OpenAI protocol, such as http://localhost:8000/v1, or a model to open here: a bundled name, a hub
    id, a folder."""
    asks_model: str = ""
    """The model that is asked at an address."""
    asks_key_from: str = "CLEW_ASKS_KEY"
    """The variable of the environment that holds the key of an address."""
    asks_at_once: int = 8
    """How many questions an address is asked at once."""

    def open(self, by: str, scorers: Sequence[str]) -> Any:
        """The one that is asked; None where nobody is.

        Raises: ValueError for a model of no address, or where neither explainer nor scorers ask anybody.
        """
        if self.asks is None:
            if self.asks_model:
                raise ValueError(f"--asks-model {self.asks_model} says which model, but not where; add --asks ADDRESS")
            return None
        import clew
        from clew.finder import load
        from clew.signatures import options_of

        functions = [load("explain.explainers", by), *(load("explain.scorers", one) for one in scorers)]
        if not any("asks" in options_of(function) for function in functions):
            raise ValueError(
                f"--asks {self.asks}: --by {by} and its scorers ask nobody; try --by sentences, or leave it out"
            )

        with working(f"opening {self.asks}"):
            return clew.Asks.open(self.asks, self.asks_model, key_from=self.asks_key_from, width=self.asks_at_once)


def foretold(asks: Any, made: Any) -> None:
    """Say what asking would cost.

    Args: made: does all of it with whom it is given.
    """
    dry = asks.estimating()
    with working("estimating"):
        made(dry)
    aside(f"{asks.name} will be asked, at most about: {dry.count}")
