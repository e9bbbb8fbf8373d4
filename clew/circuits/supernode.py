"""Supernodes: nodes of a circuit that do one thing together, under one name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from clew.files import check_whole, entries, entry, entry_or
from clew.near import near


@dataclass(frozen=True)
class Supernode:
    """A named group of nodes."""

    name: str
    members: tuple[str, ...]
    """The addresses of its nodes, with their positions: `resid.3/17@4`."""
    similarity: float | None = None
    """That of its two members that are least alike; None where a person made the group."""
    accepted: bool | None = None
    """Whether its nodes were seen to act as one, by `clew.verify(..., by="supernodes")`; None before."""

    def __post_init__(self) -> None:
        if not self.name or not self.members:
            raise ValueError(f"a supernode has a name and at least one member, not {self.name!r} and {self.members}")

    def among(self, addresses: Collection[str]) -> Supernode | None:
        """What is left of it where only these nodes are; None where nothing is. Fewer members were not tested."""
        left = tuple(member for member in self.members if member in addresses)
        if len(left) == len(self.members):
            return self
        return replace(self, members=left, accepted=None) if left else None

    @classmethod
    def from_json(cls, value: Any, origin: str = "this supernode") -> Supernode:
        """Read what `dataclasses.asdict` gave. Raises: ValueError for anything else."""
        check_whole(value, [f.name for f in fields(cls)], origin)
        return cls(
            entry(value, "name", str, origin=origin),
            tuple(entries(value, "members", str, origin=origin)),
            entry_or(value, "similarity", float, None, origin=origin),
            entry_or(value, "accepted", bool, None, origin=origin),
        )


def check_supernodes(supernodes: Sequence[Supernode], addresses: Collection[str]) -> None:
    """Raises: ValueError for a name that two have, a node that is in two, or that the circuit does not have."""
    if twice := _twice(node.name for node in supernodes):
        raise ValueError(f"two supernodes have the name {twice!r}; give each its own")
    members = [member for node in supernodes for member in node.members]
    if twice := _twice(members):
        raise ValueError(f"the node {twice} is in two supernodes; a node is in one at most")
    if lost := next((member for member in members if member not in addresses), None):
        raise ValueError(f"no node of this circuit has the address {lost!r}; {near(lost, sorted(addresses))}")


def read_supernodes(value: Mapping[str, Any], addresses: Collection[str], origin: str) -> tuple[Supernode, ...]:
    """Those of a circuit's file, which may say nothing of any. Raises: ValueError naming the place."""
    held = entries(value, "supernodes", dict, origin=origin) if "supernodes" in value else []
    found = tuple(Supernode.from_json(one, f"{origin}: supernodes[{i}]") for i, one in enumerate(held))
    try:
        check_supernodes(found, addresses)
    except ValueError as error:
        raise ValueError(f"{origin}: {error}") from error
    return found


def _twice(names: Iterable[str]) -> str | None:
    return next((name for name, times in Counter(names).items() if times > 1), None)
