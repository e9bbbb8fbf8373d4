"""A family of behaviours, found by its name."""

from typing import Any

from clew import Behaviour, Pair

VARIANTS = {"royal": "Who reigns?", "medical": "Who heals?"}


def their_questions(variant: str, *, model: Any = None, n: int = 2, seed: int = 0) -> Behaviour:
    """Two questions.

    Args: n: how many.
    """
    good, bad = {"royal": (" king", " queen"), "medical": (" doctor", " nurse")}[variant]
    pairs = [Pair(f"the {w} said", f"the {w} was", (good,), (bad,)) for w in ("man", "woman")]
    return Behaviour(f"their_questions/{variant}", tuple(pairs[:n]), description=VARIANTS[variant])
