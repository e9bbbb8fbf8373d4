"""clew new-behaviour: a file of prompt pairs to fill in."""

from __future__ import annotations

from pathlib import Path

from clew.apps.cli._terminal import Json, aside, say

HEAD = ("clean", "patch", "answers", "patch_answers")
ROWS = (
    ("The keys to the cabinet", "The key to the cabinet", " are", " is"),
    ("The letters on the desk", "The letter on the desk", " are", " is"),
    ("The dogs near the gate", "The dog near the gate", " are", " is"),
    ("The plates on the shelf", "The plate on the shelf", " are", " is"),
)
"""Examples, to be replaced: what is asked, its counterfactual, what follows each."""


def new_behaviour(path: Path, /, *, json: Json = False) -> None:
    """Write a CSV file with four example pairs, to be replaced by your own.

    Parameters
    ----------
    path
        The file to write; its name becomes the behaviour's. One that is there is left as it is.
    """
    from clew.files import write_text

    if path.suffix not in (".csv", ".tsv"):
        raise ValueError(f"{path} is to be a table; give it a name that ends in .csv or .tsv")
    if path.exists():
        raise ValueError(f"{path} is there already and stays as it is; give another name")
    mark = "\t" if path.suffix == ".tsv" else ","
    write_text(path, "".join(mark.join(row) + "\n" for row in (HEAD, *ROWS)))
    say(f"wrote {path}: four pairs, to be replaced by yours", {"file": str(path), "pairs": len(ROWS)}, json)
    aside(
        "clean and patch prompt must have as many tokens, answers are one token each, with their leading space; without "
        "patch prompts leave those two columns out"
    )
    aside(f"then: clew find MODEL {path}")
