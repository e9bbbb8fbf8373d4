"""Which heads of a protein-like encoder look a hidden residue up in an earlier copy?

Claim: a masked language model of proteins tells a hidden residue of a repeat from its other copy, by heads that attend from
the mask to the residue at the same place of the copy: induction, in a model that reads both ways and answers in the place of
a mask. clew finds those heads as it does in a decoder.
The model: EsmForMaskedLM as transformers has it (rotary positions, two layers of four heads), learnt here on random strings
over twenty residues in which a segment stands twice, at places that vary.
Truth, without clew: heads are taken out of a copy of the module, by zeroing the columns of the output projection that read
them, and the hidden residues that it still tells are counted.
Expected: one head of the second layer does most. Without it .54 of the hidden residues are told, without any one other at
least .80, of .91 with all (chance .05); it attends from the mask to the residue that tells it with .58, no other with more
than .21. What is left is told by the first layer: copies stand seven to thirteen places apart, and our reading is that so
many can be looked through by place alone.
Minutes: about 3 on one core. `--tiny` learns for a few steps. Writes docs/results/repeats.json.
"""

import argparse
import copy
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import torch
import transformers as hf
from torch import Tensor
from torch.nn.functional import cross_entropy

import clew
from clew.files import jsonable, write_json

RESULT = Path(__file__).parent.parent / "docs" / "results" / "repeats.json"
PAD, MASK, FIRST, RESIDUES = 0, 1, 2, 20
LENGTH, SHORTEST, LONGEST = 20, 7, 10
HEADS, WIDTH = 4, 16
HIDDEN = 3
"""Residues that are hidden at once while it learns."""
SIZES = (1, 2, 4)
"""Of circuits, in heads."""


@dataclass(frozen=True)
class Strings:
    """Strings in which a segment stands twice, with some residues of the second copy hidden."""

    ids: Tensor
    """[string, LENGTH], without anything hidden."""
    first: Tensor
    second: Tensor
    """Where the copies begin, [string]."""
    hidden: Tensor
    """Places in the second copy, [string, how many]."""

    @property
    def masked(self) -> Tensor:
        return self.ids.scatter(1, self.hidden, MASK)

    @property
    def told_by(self) -> Tensor:
        """The places in the first copy that tell what is hidden, as `hidden`."""
        return self.hidden - (self.second - self.first)[:, None]

    @property
    def answers(self) -> Tensor:
        return self.ids.gather(1, self.hidden)


def strings(n: int, hidden: int, seed: int) -> Strings:
    """Random ones. Args: hidden: how many residues, never the first or the last of the copy."""
    generator = torch.Generator().manual_seed(seed)

    def upto(most: Tensor) -> Tensor:
        """From 0 to `most`, each as often."""
        return (torch.rand(n, generator=generator) * (most + 1)).long()

    length = SHORTEST + upto(torch.full((n,), LONGEST - SHORTEST))
    first = upto(LENGTH - 2 * length)
    second = first + length + upto(LENGTH - 2 * length - first)
    place = torch.arange(LENGTH)
    after = place - second[:, None]
    copied = place - (second - first)[:, None] * ((after >= 0) & (after < length[:, None]))
    ids = torch.randint(FIRST, FIRST + RESIDUES, (n, LENGTH), generator=generator).gather(1, copied)
    inside = (after > 0) & (after < length[:, None] - 1)
    order = torch.rand(n, LENGTH, generator=generator).masked_fill(~inside, -1)
    return Strings(ids, first, second, order.topk(hidden, dim=1).indices)


def encoder(seed: int = 0) -> hf.EsmForMaskedLM:
    """One that has learnt nothing."""
    torch.manual_seed(seed)
    return hf.EsmForMaskedLM(
        hf.EsmConfig(
            vocab_size=FIRST + RESIDUES, hidden_size=HEADS * WIDTH, num_hidden_layers=2, num_attention_heads=HEADS,
            intermediate_size=128, position_embedding_type="rotary", token_dropout=False, mask_token_id=MASK,
            pad_token_id=PAD, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        )
    )  # fmt: skip


def learn(module: hf.EsmForMaskedLM, steps: int, batch: int = 64, rate: float = 3e-3) -> None:
    """Have it tell hidden residues of strings that are new at each step."""
    optimiser = torch.optim.AdamW(module.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.1)
    module.train()
    for step in range(steps):
        known = strings(batch, HIDDEN, seed=1000 + step)
        logits = module(input_ids=known.masked).logits[torch.arange(batch)[:, None], known.hidden]
        loss = cross_entropy(logits.flatten(0, 1), known.answers.flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 250 == 0:
            print(f"step {step}: loss {loss.item():.2f}", flush=True)
    module.eval()


def behaviour(n: int, seed: int) -> clew.Behaviour:
    """A hidden residue, against the same string whose first copy is shuffled until another residue stands there."""
    known, generator, pairs = strings(n, 1, seed), torch.Generator().manual_seed(seed), []
    for ids, asked, a, b, told in zip(
        known.ids, known.masked, known.first, known.second, known.told_by[:, 0], strict=True
    ):
        length = min(SHORTEST, int(b - a))
        start = int(told) - min(int(told - a), length - 1)
        segment = ids[start : start + length]
        if len(segment.unique()) == 1:
            continue
        other = asked.clone()
        while other[told] == ids[told]:
            other[start : start + length] = segment[torch.randperm(length, generator=generator)]
        answer, instead = int(ids[told]), int(other[told])
        pairs.append(clew.Pair(tuple(asked.tolist()), tuple(other.tolist()), (answer,), (instead,)))
    return clew.Behaviour("a residue of a repeat", tuple(pairs))


def accuracy(module: hf.EsmForMaskedLM, known: Strings, without: tuple[tuple[int, int], ...] = ()) -> float:
    """The share of hidden residues that are told, by a copy of the module without some (layer, head)."""
    module = copy.deepcopy(module)
    with torch.no_grad():
        for layer, head in without:
            dense = module.esm.encoder.layer[layer].attention.output.dense
            dense.weight[:, head * WIDTH : (head + 1) * WIDTH] = 0
        logits = module(input_ids=known.masked).logits
    told = logits[torch.arange(len(known.ids))[:, None], known.hidden].argmax(-1)
    return float((told == known.answers).float().mean())


def attention(model: clew.Model, known: Strings) -> dict[str, float]:
    """How much each head attends from the mask to the residue that tells it, in the mean over strings."""
    run = model.run(known.masked, read=model.sites("pattern"))
    rows = torch.arange(len(known.ids))
    return {
        f"head.{site.layer}/{head}": float(run[site][rows, head, known.hidden[:, 0], known.told_by[:, 0]].mean())
        for site in model.sites("pattern")
        for head in range(HEADS)
    }


def measured(steps: int, pairs: int, judged: int) -> dict[str, Any]:
    """All of it."""
    module = encoder()
    learn(module, steps)
    view, known = clew.open(module).heads(), strings(judged, 1, seed=2)
    task = behaviour(pairs, seed=3)
    scores = {
        by: clew.find(view, task, by=by, positions=False)
        for by in ("attribution_patching", "integrated_gradients", "exact_patching")
    }
    ranked = scores["exact_patching"]
    known_to, circuits = accuracy(module, known), []
    heads = [(layer, head) for layer in range(2) for head in range(HEADS)]
    for n in SIZES:
        circuit = ranked.top(n)
        found = {(int(node.site.layer or 0), node.unit) for node in circuit}
        others = [accuracy(module, known, some) for some in combinations(heads, n) if not found & set(some)]
        report = clew.verify(view, task, circuit)
        circuits.append({
            "heads": [node.address for node in circuit],
            "told without them": accuracy(module, known, tuple(found)),
            "told without as many others": {"mean": sum(others) / len(others), "least": min(others), "sets": len(others)},
            "verified": [[r.measure, r.value, r.low, r.high] for r in report.rows],
            "notes": report.notes,
        })  # fmt: skip
    return {
        "model": "EsmForMaskedLM, 2 layers of 4 heads, learnt on strings with a repeat",
        "steps": steps, "examples": judged, "chance": 1 / RESIDUES, "told": known_to, "circuits": circuits,
        "scores": {by: {node.address: node.score for node in scored} for by, scored in scores.items()},
        "attention to the other copy": attention(view, known),
    }  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="a few steps, on few strings")
    tiny = parser.parse_args().tiny
    torch.set_num_threads(1)
    result = measured(*((20, 20, 50) if tiny else (4000, 200, 1000)))
    for name, value in result.items():
        print(f"{name}: {value}")
    if not tiny:
        write_json(RESULT, jsonable(result))
