"""Greater-than: a span of years ends after it began.

The task of Hanna et al. 2023 (arXiv:2305.00586), in a form for vocabularies that write years digit by digit: after
"The war lasted from the year 1743 to the year 17" comes a digit above 4. The digit 4 itself may be right (1748) or
wrong (1741), so it is in neither set; the paper, whose answers are two-digit tokens, has no such case. As in the
paper the patch prompt starts in the year 01, after which every digit will do.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from clew.data.behaviours.behaviour import Behaviour, Pair
from clew.data.behaviours.generated import generated
from clew.data.words import EVENTS

VARIANTS = {"": 'years end after they begin: "... from the year 1743 to the year 17" -> a digit above 4'}


def greater_than(variant: str = "", *, model: Any = None, n: int = 200, seed: int = 0) -> Behaviour:
    """Cases are the tens digit of the first year. Answers are sets of digits."""
    candidates = _candidates(random.Random(seed))
    return generated(
        "greater_than", candidates, description=VARIANTS[variant], model=model, n=n, seed=seed, aligned=True
    )


def _candidates(rng: random.Random) -> Iterator[Pair]:
    while True:
        event, century, tens, ones = rng.choice(EVENTS), rng.randint(11, 19), rng.randint(2, 7), rng.randint(1, 8)
        start, end = f"The {event} lasted from the year {century}", f" to the year {century}"
        yield Pair(
            f"{start}{tens}{ones}{end}",
            f"{start}01{end}",
            tuple(str(d) for d in range(tens + 1, 10)),
            tuple(str(d) for d in range(tens)),
            str(tens),
        )
