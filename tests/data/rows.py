"""Rows of the published agreement files, and files of rows."""

import json
from pathlib import Path
from typing import Any


def lines(path: Path, *rows: dict[str, Any]) -> Path:
    """A file of JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def sva(clean: str, patch: str, answer: str, wrong: str, case: str = "singular") -> dict[str, Any]:
    return {"clean_prefix": clean, "patch_prefix": patch, "clean_answer": answer, "patch_answer": wrong, "case": case}


DOG, CAT = sva("The dog", "The dogs", " has", " have"), sva("The cat", "The cats", " is", " are")
