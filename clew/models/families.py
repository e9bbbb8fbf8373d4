"""The table of families: of each type of model that transformers knows, what holds in a tiny random one.

Made by recipes/families.py, which opens each and checks it by surgery, too. What holds of a model of yours, whatever its
family, `clew check` measures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from clew.files import check_whole, entries, entry, read_json, typed, write_json
from clew.near import near

FORMAT = "clew families"
FILE = Path(__file__).with_suffix(".json")
"""The table that comes with clew."""

Verdict = Literal["exact", "partly", "refused", "wrong", "not built"]
"""Every site with every promise; some sites or promises are refused by name, and all else holds; clew does not open it;
surgery disagrees with what clew says; transformers does not build it from a small config."""
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


@dataclass(frozen=True)
class Lack:
    """Something that others of its kind have and a family has not."""

    what: str
    """A part of addresses that has no place, or a promise of selfcheck that does not hold."""
    sites: int
    """At how many sites of the tiny model; 0 where it is a matter of the whole model."""
    why: str

    def __str__(self) -> str:
        return f"{self.what} ({self.sites})" if self.sites else self.what


@dataclass(frozen=True)
class Family:
    """One type of model."""

    type: str
    """As the config says it (`model_type`)."""
    made: str
    """The class of transformers."""
    kind: str
    """What kind of model it is: `causal`."""
    verdict: Verdict
    sites: Mapping[str, int]
    """Of each part of an address, how many sites of the tiny model hold all that is promised of them."""
    lacks: tuple[Lack, ...] = ()
    why: str = ""
    """Why it is refused, wrong or not built."""
    checks: int = 0
    """How many claims about it held under surgery."""

    @property
    def said(self) -> str:
        """What is not there, or why nothing is, in one line."""
        return self.why or ", ".join(map(str, self.lacks))

    @property
    def reasons(self) -> dict[str, tuple[Lack, ...]]:
        """Each reason why something is not there, and what it is the reason of."""
        return {
            why: tuple(one for one in self.lacks if one.why == why) for why in dict.fromkeys(x.why for x in self.lacks)
        }


@dataclass(frozen=True)
class Families:
    """All of them, and with what they were made."""

    transformers: str
    torch: str
    rows: tuple[Family, ...]

    @property
    def counts(self) -> dict[Verdict, int]:
        """How many there are of each verdict."""
        counted = Counter(row.verdict for row in self.rows)
        return {verdict: counted[verdict] for verdict in VERDICTS}

    def named(self, name: str) -> Families:
        """Those in whose type or class the name occurs.

        Raises: ValueError with near names where there are none.

        >>> [row.type for row in families().named("gpt_neo").rows]
        ['gpt_neo', 'gpt_neox', 'gpt_neox_japanese']
        """
        wanted = name.lower().replace("-", "_")
        found = tuple(r for r in self.rows if wanted in r.type.replace("-", "_") or wanted in r.made.lower())
        if not found:
            raise ValueError(f"no family is called {name!r}; {near(name, [row.type for row in self.rows])}")
        return replace(self, rows=found)

    def to_json(self) -> dict[str, Any]:
        return {"format": FORMAT, **asdict(self)}

    def save(self, path: str | Path = FILE) -> Path:
        return write_json(path, self.to_json())

    @classmethod
    def load(cls, path: str | Path = FILE) -> Families:
        """Raises: ValueError naming the file and the place in it."""
        value, origin = read_json(path, FORMAT), str(path)
        check_whole(value, ("format", "transformers", "torch", "rows"), origin)
        rows = enumerate(entries(value, "rows", dict, origin=origin))
        made = tuple(_family(row, f"{origin}: rows[{i}]") for i, row in rows)
        return cls(entry(value, "transformers", str, origin=origin), entry(value, "torch", str, origin=origin), made)


@cache
def families() -> Families:
    """The table that comes with clew."""
    return Families.load()


def _family(held: Any, origin: str) -> Family:
    check_whole(held, ("type", "made", "kind", "verdict", "sites", "lacks", "why", "checks"), origin)
    words = {name: entry(held, name, str, origin=origin) for name in ("type", "made", "kind", "why")}
    sites = entry(held, "sites", dict, origin=origin)
    return Family(
        **words,
        verdict=entry(held, "verdict", str, origin=origin, among=VERDICTS),
        sites={name: typed(n, f"{origin}.sites.{name}", int, at_least=1) for name, n in sites.items()},
        lacks=tuple(
            _lack(one, f"{origin}.lacks[{i}]") for i, one in enumerate(entries(held, "lacks", dict, origin=origin))
        ),
        checks=entry(held, "checks", int, origin=origin, at_least=0),
    )


def _lack(held: Any, origin: str) -> Lack:
    check_whole(held, ("what", "sites", "why"), origin)
    what, why = (entry(held, name, str, origin=origin) for name in ("what", "why"))
    return Lack(what, entry(held, "sites", int, origin=origin, at_least=0), why)
