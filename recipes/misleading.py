"""A model that sees and reads is told the wrong thing: which heads make it say so, and can it be kept from it?

Claim: what clew does across two prompts it does across two kinds of input at once. A small model of pictures in texts
(LlavaForConditionalGeneration, with a CLIP tower and a Llama, learnt here) says the colour of a picture, after words that
name a colour. Pictures are clear or dim, and in its lessons the words are mostly right; so it learns by itself to believe
them where it sees badly. Then the words mislead.
- Found: heads that, taken from the run of the same picture under words that say nothing, give the answer back. Verified on
  pictures that were not used for finding, beside random circuits.
- Truth, without clew: with those heads taken out of a copy of the module, by zeroing the columns of the output projection
  that read them, words decide no more; with as many others out they do.
- Mended: the heads found are scaled to nothing; and the words are made to say less, by the mean difference at the word
  between words that say nothing and those that mislead; beside a projection of the six words' directions out of it, which
  leaves the word that says nothing and so is the most that can be had, and one of six random directions. Judged by how often
  the picture's colour is named, on held-out pictures.
Expected: it names the picture's colour in .73 of the cases without words and in .46 where they mislead; .65 without the two
heads found (without two others .45 on average, .57 at most), .72 with the mean difference, .48 without random directions.
Minutes: about 4 on one core. `--tiny` learns for a few steps. Writes docs/results/misleading.json.
"""

import argparse
import copy
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import torch
import transformers as hf
from torch import Tensor
from torch.nn.functional import cross_entropy

import clew
from clew.files import jsonable, write_json

RESULT = Path(__file__).parent.parent / "docs" / "results" / "misleading.json"
SIDE, PATCH = 16, 4
COLOURS = torch.tensor([(1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0), (1.0, 1.0, 0), (0, 1.0, 1.0), (1.0, 0, 1.0)])
N = len(COLOURS)
PICTURE, SAID, NOTHING, ASKED, FIRST = 1, 2, 3, 4, 5
"""Tokens: of a picture's place, "it is said to be", "nothing", "its colour is"; then a colour each."""
VOCABULARY = 32
"""More than there are words: what a model is made of is told apart by many tokens."""
PATCHES = (SIDE // PATCH) ** 2
RIGHT = 0.9
"""In what share of its lessons the words, where they say something, are right."""
DIM, NOISE = 0.1, 1.0
"""How strong the colour of a picture is at least, of 1, and how strong the noise is."""
WORD = -2
"""The position of the word."""
LAYERS, HEADS, WIDTH, FEW = 3, 4, 16, 2


@dataclass(frozen=True)
class Questions:
    """Pictures, each with words about it."""

    pixels: Tensor
    """[question, 3, SIDE, SIDE]"""
    colour: Tensor
    """The picture's, [question]."""
    said: Tensor
    """The words', [question]; -1 where they say nothing."""

    @property
    def ids(self) -> Tensor:
        """[question, PATCHES + 3]"""
        n = len(self.colour)
        words = torch.where(self.said < 0, NOTHING, self.said + FIRST)
        fixed = [torch.full((n, k), token) for k, token in ((PATCHES, PICTURE), (1, SAID))]
        return torch.cat([*fixed, words[:, None], torch.full((n, 1), ASKED)], dim=1)

    def saying(self, said: Tensor) -> "Questions":
        return Questions(self.pixels, self.colour, said)


def questions(n: int, seed: int) -> Questions:
    """A square of one colour, clear or dim, at some place on noise; the words name another colour."""
    g = torch.Generator().manual_seed(seed)
    colour = torch.randint(N, (n,), generator=g)
    corner = torch.randint(SIDE - 8 + 1, (n, 2, 1), generator=g)
    inside = (torch.arange(SIDE) >= corner) & (torch.arange(SIDE) < corner + 8)
    square = (inside[:, 0, :, None] & inside[:, 1, None, :]).float()
    strength = DIM + (1 - DIM) * torch.rand(n, 1, 1, 1, generator=g)
    pixels = NOISE * torch.randn(n, 3, SIDE, SIDE, generator=g)
    pixels += strength * COLOURS[colour][:, :, None, None] * square[:, None]
    return Questions(pixels, colour, (colour + torch.randint(1, N, (n,), generator=g)) % N)


def learnt(steps: int, batch: int = 64, rate: float = 2e-3) -> hf.LlavaForConditionalGeneration:
    """The model. It is always taught the picture's colour; in a third of its lessons words say nothing."""
    torch.manual_seed(0)
    wide = {"hidden_size": HEADS * WIDTH, "num_attention_heads": HEADS, "intermediate_size": 128}
    text = hf.LlamaConfig(
        **wide, vocab_size=VOCABULARY, num_hidden_layers=LAYERS, num_key_value_heads=HEADS, max_position_embeddings=64
    )
    vision = hf.CLIPVisionConfig(**wide, num_hidden_layers=1, image_size=SIDE, patch_size=PATCH)
    module = hf.LlavaForConditionalGeneration(
        hf.LlavaConfig(vision_config=vision, text_config=text, image_token_id=PICTURE, vision_feature_layer=-1)
    )
    optimiser = torch.optim.AdamW(module.parameters(), lr=rate)
    module.train()
    for step in range(steps):
        g = torch.Generator().manual_seed(step)
        asked = questions(batch, seed=1000 + step)
        silent, right = torch.rand(batch, generator=g) < 1 / 3, torch.rand(batch, generator=g) < RIGHT
        asked = asked.saying(torch.where(silent, -1, torch.where(right, asked.colour, asked.said)))
        logits = module(input_ids=asked.ids, pixel_values=asked.pixels, logits_to_keep=1).logits[:, -1]
        loss = cross_entropy(logits, asked.colour + FIRST)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 200 == 0:
            print(f"step {step}: loss {loss.item():.2f}", flush=True)
    return module.eval()


def rows(model: clew.Model, asked: Questions) -> list[tuple[int, ...]]:
    """The questions as prompts."""
    return model.show(asked.ids.tolist(), pixel_values=asked.pixels)


def best(model: clew.Model, asked: Questions) -> Tensor:
    """The colour that it names, [question]."""
    logits = model.run(rows(model, asked), logits=1).logits
    assert logits is not None
    return logits[:, -1, FIRST:].argmax(-1)


def silent(asked: Questions) -> Questions:
    return asked.saying(torch.full_like(asked.said, -1))


def behaviour(model: clew.Model, n: int, seed: int) -> clew.Behaviour:
    """The picture's colour against the one that was said: words that say nothing, and words that mislead.

    Of n pictures those are asked for which it names the right colour under the first and believes the second.
    """
    asked = questions(n, seed)
    misled = (best(model, silent(asked)) == asked.colour) & (best(model, asked) == asked.said)
    clean, patch = rows(model, silent(asked)), rows(model, asked)
    pairs = [
        clew.Pair(clean[i], patch[i], (int(asked.colour[i]) + FIRST,), (int(asked.said[i]) + FIRST,))
        for i in misled.nonzero()[:, 0].tolist()
    ]
    return clew.Behaviour("what is seen against what is said", tuple(pairs))


def answers(model: clew.Model, asked: Questions) -> dict[str, float]:
    """How often it names the picture's colour, by what the words say, and how often the words' where they mislead."""
    misled = best(model, asked)
    return {
        "seen, words mislead": float((misled == asked.colour).float().mean()),
        "said, words mislead": float((misled == asked.said).float().mean()),
        "seen, words agree": float((best(model, asked.saying(asked.colour)) == asked.colour).float().mean()),
        "seen, no words": float((best(model, silent(asked)) == asked.colour).float().mean()),
    }


def without(module: hf.LlavaForConditionalGeneration, heads: tuple[tuple[int, int], ...], asked: Questions) -> float:
    """How often a copy of the module without some (layer, head) names the picture's colour where words mislead."""
    module = copy.deepcopy(module)
    with torch.no_grad():
        for layer, head in heads:
            out = module.model.language_model.layers[layer].self_attn.o_proj
            out.weight[:, head * WIDTH : (head + 1) * WIDTH] = 0
        logits = module(input_ids=asked.ids, pixel_values=asked.pixels).logits[:, -1, FIRST:]
    return float((logits.argmax(-1) == asked.colour).float().mean())


def words_out(model: clew.Model, n: int, at_random: bool) -> clew.Edit:
    """A projection of the directions of the six words out of what enters the first block, at the word; or of random ones."""
    asked = questions(n, seed=5)
    shown = model.run(rows(model, asked), read=["embed"])["embed"][:, WORD]
    nothing = model.run(rows(model, silent(asked)), read=["embed"])["embed"][:, WORD].mean(0)
    directions = torch.stack([shown[asked.said == i].mean(0) - nothing for i in range(N)])
    if at_random:
        directions = torch.randn(directions.shape, generator=torch.Generator().manual_seed(0))
    kept = clew.Project(clew.Site("embed"), directions=directions, value=0.0 if at_random else nothing)
    return replace(kept, where=clew.Where.at(WORD))


def measured(steps: int, pictures: int, judged: int) -> dict[str, Any]:
    """All of it."""
    module = learnt(steps)
    view = clew.open(module).heads()
    task, held = behaviour(view, pictures, seed=3), questions(judged, seed=4)
    scored = clew.find(view, task, by="exact_patching", positions=False)
    quick = clew.find(view, task, positions=False)
    circuit = scored.top(FEW)
    report = clew.verify(view, task, circuit)
    floor = clew.verify(view, task, circuit, by="controls", depth_matched=False)
    found = tuple((int(node.site.layer or 0), node.unit) for node in circuit)
    others = [(layer, head) for layer in range(LAYERS) for head in range(HEADS) if (layer, head) not in found]
    rest = [without(module, heads, held) for heads in combinations(others, len(found))]
    vector = clew.edit(
        view, task, by="mean_difference", sites=["embed"], at=WORD, steer=clew.Steer(where=clew.Where.at(WORD))
    )
    mended = {
        "as it is": view,
        "heads found at zero": view.edited(circuit.zero()),
        "mean difference at the word": view.edited(vector),
        "directions of the words taken out": view.edited(words_out(view, pictures, at_random=False)),
        "as many random directions": view.edited(words_out(view, pictures, at_random=True)),
    }
    return {
        "model": f"LLaVA of a CLIP tower of 1 layer and a Llama of {LAYERS}, learnt for {steps} steps",
        "pictures": {"asked": pictures, "believes the words": len(task), "judged": judged},
        "circuit": [node.address for node in circuit],
        "scores": {node.address: node.score for node in scored},
        "scores by integrated gradients": {node.address: node.score for node in quick},
        "verified": [[r.measure, r.of, r.value, r.low, r.high] for r in (*report.rows, *floor.rows)],
        "notes": [*report.notes, *floor.notes],
        "module without heads": {
            "none": without(module, (), held), "those found": without(module, found, held),
            "as many others, mean": sum(rest) / len(rest), "as many others, most": max(rest),
        },
        "mended": {name: answers(model, held) for name, model in mended.items()},
    }  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="a few steps, on few pictures")
    tiny = parser.parse_args().tiny
    torch.set_num_threads(1)
    result = measured(*((60, 400, 40) if tiny else (1000, 600, 1000)))
    for name, value in result.items():
        print(f"{name}: {value}")
    if not tiny:
        write_json(RESULT, jsonable(result))
