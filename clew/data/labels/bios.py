"""Short biographies of invented people: a profession told by one thing they do, a gender by name and pronouns.

Stand-ins for the Bias in Bios set (De-Arteaga et al. 2019): like there, the profession itself is not named.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import floor

from clew.data.labels.labelled import Labelled
from clew.data.words import COUNTRIES, MEN, WOMEN
from clew.near import near

DUTIES: dict[str, tuple[str, ...]] = {
    "nurse": (
        "cares for patients on a busy ward",
        "works night shifts at the hospital",
        "checks the blood pressure of patients",
        "gives injections and changes bandages",
        "comforts the sick and their families",
        "trained at a clinic for children",
    ),
    "professor": (
        "lectures at the university",
        "publishes papers in academic journals",
        "supervises doctoral students",
        "leads a research group in the department",
        "won a grant for basic research",
        "wrote a widely used textbook",
    ),
    "lawyer": (
        "represents clients in court",
        "drafts contracts for large firms",
        "studied law and passed the bar exam",
        "argues cases before the judge",
        "gives legal advice to tenants",
        "became a partner at a law firm",
    ),
    "programmer": (
        "writes software for banks",
        "fixes bugs in old code",
        "builds web sites and databases",
        "contributes to open source projects",
        "knows several programming languages",
        "designed an app for phones",
    ),
    "painter": (
        "works in oil and watercolor",
        "shows pictures in small galleries",
        "studied at the academy of art",
        "sells portraits to collectors",
        "prepares canvases in a bright studio",
        "is known for large landscapes",
    ),
    "chef": (
        "runs the kitchen of a small restaurant",
        "cooks dishes with local vegetables",
        "wrote a book of recipes",
        "bakes fresh bread every morning",
        "earned a star for seafood",
        "plans the menu of the season",
    ),
}
"""What people of a profession do."""

SURNAMES = """
Adams Baker Carter Dixon Ellis Foster Gibson Harris Ingram Jenkins Kramer Lawson Morris Newton Osborne Porter Quinn
Reeves Sawyer Turner Vaughn Wallace Young
""".split()
HOBBIES = (
    "plays chess",
    "goes hiking",
    "sings in a choir",
    "grows tomatoes",
    "reads novels",
    "swims in the lake",
    "rides a bike",
    "collects stamps",
    "learns languages",
    "takes long walks",
)
PRONOUNS = {"female": ("She", "her"), "male": ("He", "his")}

KEYWORDS: dict[str, tuple[str, ...]] = {
    "nurse": ("nurse", "hospital", "patient", "ward", "clinic", "medicine", "bandage", "injection", "care", "illness"),
    "professor": (
        "professor",
        "university",
        "lecture",
        "research",
        "student",
        "journal",
        "book",
        "dean",
        "grant",
        "thesis",
    ),
    "lawyer": ("lawyer", "court", "judge", "contract", "client", "law", "trial", "advice", "firm", "exam"),
    "programmer": (
        "programmer",
        "software",
        "code",
        "database",
        "computer",
        "app",
        "bug",
        "web",
        "language",
        "program",
    ),
    "painter": (
        "painter",
        "canvas",
        "oil",
        "gallery",
        "portrait",
        "landscape",
        "studio",
        "art",
        "watercolor",
        "museum",
    ),
    "chef": ("chef", "kitchen", "restaurant", "recipe", "bread", "menu", "seafood", "vegetable", "dish", "cook"),
}
"""What comes to mind at a profession: the concepts of a bottleneck."""

GENDERED: frozenset[str] = frozenset(
    """
    he him his himself she her hers herself man men woman women boy boys girl girls male female mr mrs ms sir madam lady
    ladies gentleman husband wife father mother dad mom son daughter brother sister uncle aunt king queen prince princess
    grandfather grandmother boyfriend girlfriend
    """.split()
) | {name.lower() for name in (*MEN, *WOMEN)}
"""Words that say who is a man and who a woman: pronouns, kin, titles, first names."""


def bios(
    n: int = 1200,
    *,
    professions: Sequence[str] = tuple(DUTIES),
    correlation: int | float = 0.0,
    duties: Sequence[int] = range(6),
    seed: int = 0,
) -> Labelled:
    """n biographies labelled by "profession" and "gender".

    Args:
        professions: equally many of each.
        correlation: 0 makes half of each profession women. At c, (1 + c) / 2 of the first, third, ... profession are
            women and of the others men: for two professions c is the correlation of the two labels, and at 1 either
            label tells the other.
        duties: which of the six things that people of each profession do may be told; learn with some and judge with the
            others, and no sentence about a profession is known by heart.

    Raises: ValueError naming the near professions, or for a correlation or a duty that there is not.
    """
    if not -1 <= correlation <= 1:
        raise ValueError(f"correlation={correlation} is outside [-1, 1]")
    if not duties or not set(duties) <= set(range(6)):
        raise ValueError(f"duties={list(duties)}: choose some of 0 to 5")
    if unknown := [p for p in professions if p not in DUTIES]:
        raise ValueError(f"there are no sentences about a {unknown[0]!r}; {near(unknown[0], DUTIES)}")
    rng, found = random.Random(seed), dict[str, tuple[str, str]]()
    for at in range(n):
        rank, which = divmod(at, len(professions))
        women = (1 + correlation * (-1) ** which) / 2
        gender = "female" if floor((rank + 1) * women + 1e-9) > floor(rank * women + 1e-9) else "male"
        text = _bio(rng, professions[which], gender, duties)
        while text in found:
            text = _bio(rng, professions[which], gender, duties)
        found[text] = (professions[which], gender)
    texts = rng.sample(list(found), n)
    profession, gender = zip(*(found[text] for text in texts), strict=True)
    return Labelled("bios", tuple(texts), {"profession": profession, "gender": gender})


def _bio(rng: random.Random, profession: str, gender: str, duties: Sequence[int]) -> str:
    name = f"{rng.choice(WOMEN if gender == 'female' else MEN)} {rng.choice(SURNAMES)}"
    subject, possessive = PRONOUNS[gender]
    duty = DUTIES[profession][rng.choice(duties)]
    city, hobby = rng.choice(COUNTRIES)[1], rng.choice(HOBBIES)
    return f"{name} lives in {city}. {subject} {duty}. In {possessive} free time {subject.lower()} {hobby}."
