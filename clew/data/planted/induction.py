"""A planted induction circuit: a word that comes again is followed by what followed it before.

After Elhage et al. 2021 and Olsson et al. 2022 (arXiv:2209.11895). A head of layer 0 looks one position back and
notes at every word which word came before it. A strong head of layer 1 and a weak one of layer 2 look for the place
where the word before was the last one of the prompt, and copy the word that stands there into the logits.
"""

from __future__ import annotations

import random

from clew.data.behaviours.behaviour import Behaviour, Pair
from clew.data.behaviours.pairs import apart
from clew.data.planted._compile import Draft, Planted, Spaces, known_circuit

WORDS = """
    apple book cloud door engine flower garden house island jacket kettle lamp mirror needle orange piano river
    shadow table window
""".split()
START, TRIGGER = "<s>", "abracadabra"
NAMES = (START, *WORDS, TRIGGER)
LENGTH = 6
"""Different words of a clean prompt, before one of them comes again."""
EDGES = (
    "embed -> v.0/2",
    "head.0/2 -> k.1/1",
    "head.0/2 -> k.2/3",
    "embed -> q.1/1",
    "embed -> v.1/1",
    "head.1/1 -> logits",
    "embed -> q.2/3",
    "embed -> v.2/3",
    "head.2/3 -> logits",
)


def induction(*, n: int = 32, seed: int = 0) -> Planted:
    """A model of 3 layers of 4 heads in which 3 heads and 9 edges do it all, in float64.

    Clean: "<s>", six different words, and one of the first five again; the answer is the word that followed it, the
    patch answer another of the six. Patch: "<s>" and seven other words, all different, so that nothing has come
    before, and what a patched edge hands on finds no partner.

    Besides the decoys, two paths lead into the logits of the answers and matter on neither prompt: head 0 of layer 0
    looks at "<s>" and tilts the logits of all words, always by the same; a neuron of the MLP of layer 1 writes answers
    when it sees the word "abracadabra", which no prompt holds.
    The previous-word head looks by position alone, so what its query and key read is no part of the circuit.

    Args: n: pairs of prompts. seed: of the prompts and of the decoys.
    """
    many = len(WORDS)
    vocabulary = Spaces(start=1, word=many, trigger=1)
    stream = Spaces(one=1, start=1, trigger=1, token=many, previous=many, answer=many, tilt=1)
    draft = Draft(vocabulary, stream, Spaces(word=many, flag=1), layers=3, heads=4, kv_heads=4, seed=seed)
    draft.embed(
        {
            "start -> one": 1,
            "word -> one": 1,
            "trigger -> one": 1,
            "start -> start": 1,
            "word -> token": 1,
            "trigger -> trigger": 1,
        }
    )

    draft.shared(0, 2, key={}, value={"token -> word": 1})
    draft.head(0, 2, back=1, position=36, write={"word -> previous": 1})

    for layer, head, sharpness, loudness in ((1, 1, 5.5, 6.0), (2, 3, 4.5, 3.0)):
        draft.shared(layer, head, key={"previous -> word": 1}, value={"token -> word": 1})
        draft.head(layer, head, query={"token -> word": sharpness}, write={"word -> answer": loudness})

    draft.shared(0, 0, key={"start -> flag": 1}, value={"start -> flag": 1})
    draft.head(0, 0, query={"one -> flag": 4}, write={"flag -> tilt": 1})
    draft.mlp(1, Spaces(alarm=1), gate={"one -> alarm": 2}, up={"trigger -> alarm": 1}, down={"alarm -> answer": 4})

    draft.unembed({"answer -> word": 1, "tilt -> word": [(-1) ** i / 2 for i in range(many)]})
    model = draft.model("planted induction")
    pairs, split = apart(_pairs(n, random.Random(seed)), n // 2)
    behaviour = Behaviour("planted induction", pairs, split=split, aligned=True, seed=seed)
    return Planted(model, behaviour, known_circuit(model, EDGES), NAMES)


def _pairs(n: int, rng: random.Random) -> tuple[Pair, ...]:
    pairs = []
    for _ in range(n):
        drawn = rng.sample(range(1, 1 + len(WORDS)), 2 * LENGTH + 1)
        words, others = drawn[:LENGTH], drawn[LENGTH:]
        again = rng.randrange(LENGTH - 1)
        answer = words[again + 1]
        wrong = rng.choice([w for w in words if w not in (words[again], answer)])
        pairs.append(Pair((0, *words, words[again]), (0, *others), (answer,), (wrong,)))
    return tuple(pairs)
