"""Recipes as their scripts see each other: by their names, from their folder."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

RECIPES = Path(__file__).parents[2] / "recipes"


def recipe(name: str) -> Any:
    """The module of a recipe."""
    if str(RECIPES) not in sys.path:
        sys.path.insert(0, str(RECIPES))
    return import_module(name)
