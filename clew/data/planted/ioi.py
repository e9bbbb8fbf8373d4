"""A planted circuit of indirect object identification: of two names, the one that did not come again is said.

After Wang et al. 2022 (arXiv:2211.00593), in its shape and the names of its heads. At "Bob" in "Anna and Bob met Bob
gave", an induction head finds, through the notes of a previous-word head, the word after the first "Bob", and marks
the name as a duplicate. The S-inhibition head looks from the last word at the duplicate and fetches its name; an MLP
sharpens it. The name movers look at all names but that one: one copies what it finds into the logits, a negative one
takes a part of it away again.
"""

from __future__ import annotations

import random

from clew.data.behaviours.behaviour import Behaviour, Pair
from clew.data.behaviours.pairs import apart
from clew.data.planted._compile import Draft, Planted, Spaces, known_circuit

COMMON = ("Anna", "Bella", "Clara", "Dora", "Emma", "Fiona")
RARE = ("Bob", "Carl", "Dan", "Eric", "Frank", "Greg")
WORDS = ("<s>", *COMMON, *RARE, "and", "met", "gave", "handed")
START, AND, MET, GAVE, HANDED = (WORDS.index(word) for word in ("<s>", "and", "met", "gave", "handed"))
EDGES = (
    "embed -> v.0/1",
    "head.0/2 -> k.1/0",
    "embed -> q.1/1",  # the word before; where the name came first
    "head.1/1 -> k.2/1",
    "embed -> v.2/1",  # which name is the duplicate
    "head.2/3 -> mlp_in.2",
    "mlp.2 -> q.3/0",
    "mlp.2 -> q.3/1",  # not that one
    "embed -> k.3/0",
    "embed -> v.3/0",
    "head.3/0 -> logits",
    "head.3/1 -> logits",  # the other one
)


def ioi(*, n: int = 32, seed: int = 0) -> Planted:
    """A model of 4 layers of 4 heads on 2 key-value heads, in which 5 heads, an MLP and 12 edges do it all, in float64.

    Clean: "<s> Anna and Bob met Bob gave", or with the first two names in the other order; the answer is "Anna", the
    patch answer "Bob". Patch: three other names, all different, and "handed" for "gave". The two name movers share
    their key-value head, and the negative one has a negative effect.

    A trap for gradients: the MLP of layer 3 squares a coordinate that is 1 at "gave" and -1 at "handed", and tilts the
    logits by it, common names up and rare ones down (answers are common names). Its edge from the embedding has a
    large first-order effect and none at all. What only says that a word is a name, or comes first, is the same in both
    prompts, so the edges that carry it are no part of the circuit: those into the queries of the S-inhibition head and
    the values of the induction head, for example.

    Args: n: pairs of prompts. seed: of the prompts and of the decoys.
    """
    names = len(COMMON) + len(RARE)
    vocabulary = Spaces(start=1, name=names, filler=2, gave=1, handed=1)
    stream = Spaces(
        one=1,
        start=1,
        mood=1,
        token=names,
        previous=names,
        duplicate=1,
        inhibited=names,
        suppressed=names,
        answer=names,
        tilt=1,
    )
    draft = Draft(vocabulary, stream, Spaces(name=names, flag=1), layers=4, heads=4, kv_heads=2, seed=seed)
    every = {f"{word} -> one": 1 for word in vocabulary.at}
    draft.embed(every | {"start -> start": 1, "name -> token": 1, "gave -> mood": 1, "handed -> mood": -1})

    draft.shared(0, 1, key={}, value={"token -> name": 1})
    draft.head(0, 2, back=1, position=36, write={"name -> previous": 1})

    draft.shared(
        1, 0, key={"previous -> name": 1, "start -> flag": 1}, value={"one -> flag": 1, "start -> flag": -1}
    )  # a name that is new finds nothing, rests on "<s>", and takes nothing from there
    draft.head(1, 1, query={"token -> name": 8, "one -> flag": 4}, write={"flag -> duplicate": 1})

    draft.shared(2, 1, key={"duplicate -> flag": 1}, value={"token -> name": 1})
    draft.head(2, 3, query={"one -> flag": 6}, write={"name -> inhibited": 1})
    draft.mlp(
        2,
        Spaces(name=names),
        gate={"inhibited -> name": 8, "one -> name": -3},
        up={"inhibited -> name": 1},
        down={"name -> suppressed": 0.2},
    )

    draft.shared(3, 0, key={"token -> name": 1}, value={"token -> name": 1})
    for head, loudness in ((0, 6.0), (1, -2.0)):
        draft.head(3, head, query={"one -> name": 5, "suppressed -> name": -5}, write={"name -> answer": loudness})
    either = {"mood -> rise": 1.0, "mood -> fall": -1.0}
    draft.mlp(3, Spaces(rise=1, fall=1), gate=either, up=either, down={"rise -> tilt": 1, "fall -> tilt": 1})

    draft.unembed({"answer -> name": 1, "tilt -> name": [0.25] * len(COMMON) + [-0.25] * len(RARE)})
    model = draft.model("planted ioi")
    pairs, split = apart(_pairs(n, random.Random(seed)), n // 2)
    behaviour = Behaviour("planted ioi", pairs, split=split, aligned=True, seed=seed)
    return Planted(model, behaviour, known_circuit(model, EDGES), WORDS)


def _pairs(n: int, rng: random.Random) -> tuple[Pair, ...]:
    pairs = []
    for _ in range(n):
        common, rare = rng.randrange(1, AND - len(RARE)), rng.randrange(AND - len(RARE), AND)
        first, second = rng.sample((common, rare), 2)
        others = rng.sample([name for name in range(1, AND) if name not in (common, rare)], 3)
        clean = (START, first, AND, second, MET, rare, GAVE)
        patch = (START, others[0], AND, others[1], MET, others[2], HANDED)
        pairs.append(Pair(clean, patch, (common,), (rare,)))
    return tuple(pairs)
