"""A dictionary of a model of pictures: do its features name what the pictures were made from, and does it notice the new?

Claim: what clew does with features of a language model holds for one of pictures. Pictures are drawn here, each a shape in a
colour at a place, so what there is to be found is known; a small ViT (of transformers, learnt here) names all three. One
dictionary is learnt from the stream at every position after the second block, another from the one position from which the
answer is read, after the last.
- Features: of each factor's values, the unit that tells it best on one half of the pictures, judged on the other (AUROC),
  beside the best of as many random directions, and of a dictionary of the same ViT before it learnt anything.
- Circuits: one value of a factor against another, the pictures being the same otherwise. The strongest units should be those
  that tell that factor, and no other.
- What was never seen: pictures of other kinds told from new ones of the known kind by how badly a dictionary rebuilds them,
  and by how far the strength of its codes is from the usual, beside what the model says, the probability of its answer.
Expected: where the answer is read, ten units tell shape, colour and place by .92, .96 and .87 (ten random directions by .93,
.79 and .89, 32 units by .66, .72 and .73); circuits of four are faithful by 1.04, 1.00 and 1.00 and led by units of their
factor; the error tells another shape by .86 (the model's own probability by .75) and all else by .98 or more.
Minutes: about 2 on one core. `--tiny` learns for a few steps. Writes docs/results/seen_features.json.
"""

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers as hf
from torch import Tensor
from torch.nn.functional import cross_entropy

import clew
from clew.files import jsonable, write_json
from clew.measures.circuits.recovery import auroc

RESULT = Path(__file__).parent.parent / "docs" / "results" / "seen_features.json"
SIDE, PATCH, SIZE = 24, 4, 8
"""Of a picture, of what the model reads as one, and of a shape."""
SHAPES = ("square", "cross", "ring")
COLOURS: dict[str, tuple[float, float, float]] = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1)}
PLACES = ("top left", "top right", "bottom left", "bottom right")
FACTORS: dict[str, tuple[str, ...]] = {"shape": SHAPES, "colour": tuple(COLOURS), "place": PLACES}
CLASSES = (*SHAPES, *COLOURS, *PLACES)
"""What the model answers with: a logit for each value of each factor."""
PARTS = tuple(map(len, FACTORS.values()))
STRANGE = ("disc", "yellow", "two shapes", "stripes", "noise")
"""Kinds of picture that nothing was learnt from."""
EVERY, READ = "resid.1", "resid.2"
"""Where one dictionary is learnt from all positions, and the other from the first, which is where the answer is read."""
UNITS, K = {EVERY: 128, READ: len(CLASSES)}, {EVERY: 6, READ: len(FACTORS)}
MORE = 32
"""Units of another dictionary where the answer is read: nearly as many as there are kinds of picture, 36."""


def shaped(name: str) -> Tensor:
    """Where a shape is, [SIZE, SIZE] of 0 and 1."""
    at = torch.arange(SIZE) - (SIZE - 1) / 2
    far, near = torch.maximum(at[:, None].abs(), at.abs()), torch.minimum(at[:, None].abs(), at.abs())
    within = {
        "square": far < SIZE,
        "cross": near < SIZE / 8 + 0.5,
        "ring": far > SIZE / 4 + 0.5,
        "disc": at[:, None].square() + at.square() < (SIZE / 2) ** 2,
    }
    return within[name].float()


@dataclass(frozen=True)
class Pictures:
    """Pictures with what they were made from."""

    pixels: Tensor
    """[picture, 3, SIDE, SIDE]"""
    factors: dict[str, Tensor]
    """Which value of each, [picture]."""


def drawn(n: int, seed: int, **fixed: Tensor) -> Pictures:
    """Random ones; of one seed, pictures differ in nothing but the factors that are fixed, [picture], otherwise."""
    g = torch.Generator().manual_seed(seed)
    factors = {name: torch.randint(len(values), (n,), generator=g) for name, values in FACTORS.items()} | fixed
    shift = torch.randint(SIDE // 2 - SIZE + 1, (n, 2), generator=g)
    pixels = 0.1 * torch.randn(n, 3, SIDE, SIDE, generator=g)
    masks, colours = torch.stack([shaped(s) for s in SHAPES]), torch.tensor(list(COLOURS.values()))
    for i in range(n):
        shape, colour, place = (int(factors[name][i]) for name in FACTORS)
        _put(pixels[i], masks[shape], colours[colour], place, shift[i])
    return Pictures(pixels, factors)


def _put(pixels: Tensor, mask: Tensor, colour: Tensor, place: int, shift: Tensor) -> None:
    """Paint a shape into one of the four quarters of a picture."""
    y, x = (int(s) + SIDE // 2 * half for s, half in zip(shift, divmod(place, 2), strict=True))
    pixels[:, y : y + SIZE, x : x + SIZE] += colour[:, None, None] * mask


def strange(kind: str, n: int, seed: int) -> Tensor:
    """Pixels of a kind never seen: another shape, another colour, two shapes at once, stripes, or noise alone."""
    if kind == "two shapes":
        one = drawn(n, seed)
        return one.pixels + drawn(n, seed + 1, place=(one.factors["place"] + 1) % 4).pixels
    g = torch.Generator().manual_seed(seed)
    pixels = 0.1 * torch.randn(n, 3, SIDE, SIDE, generator=g)
    if kind == "noise":
        return 10 * pixels
    colours = torch.tensor(list(COLOURS.values()))
    for one in pixels:
        place, shape, colour = (int(torch.randint(k, (), generator=g)) for k in (4, len(SHAPES), len(COLOURS)))
        shift = torch.randint(SIDE // 2 - SIZE + 1, (2,), generator=g)
        if kind == "stripes":
            one += colours[colour][:, None, None] * (torch.arange(SIDE) // 2 % 2)
        elif kind == "disc":
            _put(one, shaped("disc"), colours[colour], place, shift)
        else:
            _put(one, shaped(SHAPES[shape]), torch.tensor((1.0, 1.0, 0.0)), place, shift)
    return pixels


def learnt(steps: int, batch: int = 64, rate: float = 1e-3) -> hf.ViTForImageClassification:
    """A ViT that names shape, colour and place, each by the largest of its logits."""
    torch.manual_seed(0)
    module = hf.ViTForImageClassification(
        hf.ViTConfig(
            hidden_size=48, num_hidden_layers=3, num_attention_heads=4, intermediate_size=96, image_size=SIDE,
            patch_size=PATCH, id2label=dict(enumerate(CLASSES)),
        )
    )  # fmt: skip
    optimiser = torch.optim.AdamW(module.parameters(), lr=rate)
    module.train()
    for step in range(steps):
        seen = drawn(batch, seed=1000 + step)
        parts = module(pixel_values=seen.pixels).logits.split(PARTS, dim=1)
        loss = torch.stack(
            [cross_entropy(of, seen.factors[name]) for name, of in zip(FACTORS, parts, strict=True)]
        ).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 200 == 0:
            print(f"step {step}: loss {loss.item():.2f}", flush=True)
    return module.eval()


def dictionaries(model: clew.Model, pictures: Pictures, steps: int) -> dict[str, clew.Dictionary]:
    """One at each site, learnt from the stream of these pictures, and one of more units where the answer is read."""
    rows, n = model.show(pixel_values=pictures.pixels), len(pictures.pixels)
    with tempfile.TemporaryDirectory() as folder:
        store = clew.record(model, rows, sites=[EVERY, READ], to=folder, tokens=n * len(rows[0]))
        stream = {EVERY: store[EVERY], READ: store[READ].view(n, len(rows[0]), -1)[:, 0]}
    plans = {site: clew.Plan("topk", site, options={"units": UNITS[site], "k": K[site]}) for site in stream}
    plans["more units"] = clew.Plan("topk", READ, options={"units": MORE, "k": K[READ]})
    found: dict[str, clew.Dictionary] = {}
    for name, plan in plans.items():
        site = str(plan.inputs[0])
        (found[name],) = clew.train({site: stream[site]}, [plan], steps=steps, batch=512)
    return found


def codes_of(model: clew.Model, pixels: Tensor, read: Callable[[Tensor], Tensor], site: str) -> np.ndarray:
    """How strongly each unit is read in a picture, [picture, unit]: where it is strongest, or where the answer is read."""
    found: list[Tensor] = []
    for some in pixels.split(250):
        code = read(model.run(model.show(pixel_values=some), read=[site])[site].detach())
        found.append(code[:, 0] if site == READ else code.amax(1))
    return torch.cat(found).numpy()


def tells(codes: np.ndarray, pictures: Pictures, half: int) -> dict[str, dict[str, Any]]:
    """Of each value of each factor, the unit that tells it best before `half`, and its AUROC after it."""
    found: dict[str, dict[str, Any]] = {}
    for factor, values in FACTORS.items():
        for i, value in enumerate(values):
            true = (pictures.factors[factor] == i).numpy()
            scores = np.array([auroc(code, true[:half]) for code in codes[:half].T])
            best = int(scores.argmax())
            found[value] = {"unit": best, "AUROC": auroc(codes[half:, best], true[half:])}
    return found


def mean_of(found: dict[str, dict[str, Any]]) -> dict[str, float]:
    """By factor."""
    return {factor: float(np.mean([found[value]["AUROC"] for value in values])) for factor, values in FACTORS.items()}


def circuit_of(view: clew.Model, factor: str, pairs: int, nodes: int) -> tuple[clew.Circuit, list[Any]]:
    """Of the first value of a factor against the second, in pictures that are the same otherwise; and how it was verified."""
    sides = [drawn(pairs, 7, **{factor: torch.full((pairs,), i)}) for i in (0, 1)]
    rows = [view.show(pixel_values=side.pixels) for side in sides]
    first, second = (CLASSES.index(value) for value in FACTORS[factor][:2])
    name = f"{FACTORS[factor][0]} against {FACTORS[factor][1]}"
    task = clew.Behaviour(name, tuple(clew.Pair(a, b, (first,), (second,)) for a, b in zip(*rows, strict=True)))
    scored = clew.find(view, task, positions=False)
    units = scored.keep(scored.unit >= 0)
    circuit, ablated = units.top(nodes), clew.Ablation("patch", errors="keep")
    report = clew.verify(view, task, circuit, ablation=ablated)
    floor = clew.verify(view, task, circuit, by="controls", ablation=ablated, pool=units)
    return circuit, [[r.measure, r.of, r.value, r.low, r.high] for r in (*report.rows, *floor.rows[2:])]


def told_factor(codes: np.ndarray, pictures: Pictures, unit: int) -> dict[str, float]:
    """How well a unit tells the value of each factor that it tells best: the largest |AUROC - 1/2| there, times two."""
    return {
        factor: max(
            2 * abs(auroc(codes[:, unit], (pictures.factors[factor] == i).numpy()) - 0.5) for i in range(len(values))
        )
        for factor, values in FACTORS.items()
    }


def never_seen(
    model: clew.Model, dictionary: clew.Dictionary, learnt_from: Tensor, known: Tensor
) -> dict[str, dict[str, float]]:
    """AUROC of pictures of each strange kind against known ones, by three scores that are larger for what is strange.

    Args: learnt_from: pictures that say which strength of codes is usual. known: as many others.
    """
    site = str(dictionary.reads)

    def scores(pixels: Tensor) -> dict[str, np.ndarray]:
        found: dict[str, list[Tensor]] = {"error": [], "strength": [], "unsure model": []}
        for some in pixels.split(250):
            run = model.run(model.show(pixel_values=some), read=[site])
            assert run.logits is not None
            x = run[site].detach()[:, : 1 if site == READ else None]
            code = dictionary.encode(x)
            sure = [part.softmax(-1).amax(-1) for part in run.logits[:, 0].detach().split(PARTS, dim=1)]
            found["error"].append((x - dictionary.decode(code)).square().sum((1, 2)) / x.square().sum((1, 2)))
            found["strength"].append(code.norm(dim=-1).mean(1))
            found["unsure model"].append(-torch.stack(sure).prod(0))
        return {name: torch.cat(parts).numpy() for name, parts in found.items()}

    strength = float(scores(learnt_from)["strength"].mean())

    def strangeness(pixels: Tensor) -> dict[str, np.ndarray]:
        found = scores(pixels)
        return found | {"strength": np.abs(found["strength"] - strength)}

    usual, table = strangeness(known), {}
    true = np.repeat([False, True], len(known))
    for kind in STRANGE:
        other = strangeness(strange(kind, len(known), seed=21))
        table[kind] = {name: auroc(np.concatenate([usual[name], other[name]]), true) for name in usual}
    return table


def measured(steps: int, shown: int, dictionary_steps: int, judged: int, pairs: int, nodes: int) -> dict[str, Any]:
    """All of it."""
    model, bare = clew.open(learnt(steps)), clew.open(learnt(0))
    shown_to_it, held = drawn(shown, seed=1), drawn(judged, seed=2)
    saes, before = (dictionaries(one, shown_to_it, dictionary_steps) for one in (model, bare))
    logits = model.run(model.show(pixel_values=held.pixels)).logits
    assert logits is not None
    named = dict(zip(FACTORS, (part.argmax(-1) for part in logits[:, 0].split(PARTS, dim=1)), strict=True))
    result: dict[str, Any] = {
        "model": f"ViT of 3 layers, learnt for {steps} steps on pictures drawn here",
        "accuracy": {name: float((named[name] == held.factors[name]).float().mean()) for name in FACTORS},
        "dictionaries": {site: f"topk, {UNITS[site]} units, {K[site]} at a position" for site in UNITS},
        "features": {}, "circuits": {}, "never seen": {},
    }  # fmt: skip
    codes: dict[str, np.ndarray] = {}
    for site in (EVERY, READ):
        sae = saes[site]
        codes[site] = codes_of(model, held.pixels, sae.encode, site)
        directions = torch.randn(sae.d_in, UNITS[site], generator=torch.Generator().manual_seed(3))
        chance = codes_of(model, held.pixels, lambda x, to=directions: x @ to, site)
        unlearnt = codes_of(bare, held.pixels, before[site].encode, site)
        found = tells(codes[site], held, judged // 2)
        result["features"][site] = {
            "values": found,
            "mean": mean_of(found),
            "random directions": mean_of(tells(chance, held, judged // 2)),
            "before it learnt": mean_of(tells(unlearnt, held, judged // 2)),
        }
        result["never seen"][site] = never_seen(model, sae, shown_to_it.pixels, held.pixels[: judged // 2])
    wide = tells(codes_of(model, held.pixels, saes["more units"].encode, READ), held, judged // 2)
    result["features"][f"{READ}, {MORE} units"] = {"mean": mean_of(wide)}
    view = model.through(saes[READ])
    for factor in FACTORS:
        circuit, verified = circuit_of(view, factor, pairs, nodes)
        told = {node.address: told_factor(codes[READ], held, node.unit) for node in circuit}
        result["circuits"][factor] = {"of": FACTORS[factor][:2], "verified": verified, "nodes tell": told}
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="a few steps, on few pictures")
    tiny = parser.parse_args().tiny
    torch.set_num_threads(1)
    result = measured(*((5, 40, 5, 40, 8, 2) if tiny else (1000, 2500, 1500, 1000, 60, 4)))
    for name, value in result.items():
        print(f"{name}: {value}")
    if not tiny:
        write_json(RESULT, jsonable(result))
