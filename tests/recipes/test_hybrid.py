"""The recipe of the planted hybrid: its prompts, its plain hooks beside clew's edits, and parts that alone do anything."""

import runpy
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import pytest
import torch
from transformers.models.jamba import modeling_jamba

import clew
from clew.changes import Set

RECIPE = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[2] / "recipes" / "hybrid.py"), run_name="hybrid"))


def by_reading(prompt: str) -> str:
    """The answer, read off the words of a prompt."""
    task, *words = prompt.split()
    if task == "recall":
        return words[words.index(words[-1]) + 1]
    if task == "latest":
        return next(word for word in reversed(words) if word[0] == "m")
    kind = int(next(word for word in words if word[0] == "c")[1])
    return f"y{int(RECIPE.tables()[kind, int(words[-1][1])])}"


@pytest.mark.parametrize("task", list(RECIPE.PLANTED))
def test_answers_are_those_that_one_reads_off_the_words(task: str) -> None:
    for pair in RECIPE.behaviour(task, 40).pairs:
        assert (pair.answers, pair.patch_answers) == ((f" {by_reading(pair.clean)}",), (f" {by_reading(pair.patch)}",))
        assert pair.answers != pair.patch_answers and len(pair.clean.split()) == RECIPE.LENGTH


def test_the_state_space_of_the_training_is_that_of_transformers() -> None:
    asked, grads = RECIPE.drawn("latest", 3, torch.Generator().manual_seed(0)), []
    for scan in (modeling_jamba.mamba_selective_scan, RECIPE.scanned):
        module = RECIPE.untrained()
        with patch.object(modeling_jamba, "mamba_selective_scan", scan):
            module(input_ids=asked.tokens, use_cache=False).logits.square().sum().backward()
        grads.append({name: p.grad for name, p in module.named_parameters() if p.grad is not None})
    for name, grad in grads[0].items():
        torch.testing.assert_close(grads[1][name], grad, rtol=1e-3, atol=1e-4 * float(grad.abs().max()))


def test_an_interchange_is_an_edit_that_sets_the_part_to_what_it_was_on_the_other_prompt() -> None:
    module, n = RECIPE.untrained().eval(), 3
    model = clew.open(module, tokenizer=RECIPE.tokenizer())
    clean = RECIPE.drawn("recall", n, torch.Generator().manual_seed(0))
    other = clean.other()
    for part, unit in (("mixer.2", None), ("head.1", 2), ("mlp.1", None)):
        places = slice(4, 9)
        swapped = torch.zeros(2 * n, len(RECIPE.PARTS), RECIPE.LENGTH, dtype=torch.bool)
        swapped[:n, RECIPE.PARTS.index(part if unit is None else f"{part}/{unit}"), places] = True
        swaps = RECIPE.Interchanges(torch.arange(n, 2 * n).repeat(2), swapped)
        with swaps.on(module), torch.no_grad():
            found = module(input_ids=torch.cat([clean.tokens, other.tokens]), use_cache=False).logits[:n]
        here, there = (model.run(asked.tokens, read=[part], logits=0)[part] for asked in (clean, other))
        of_unit = slice(None) if unit is None else slice(8 * unit, 8 * unit + 8)
        value = here.clone()
        value[:, places, of_unit] = there[:, places, of_unit]
        edited = model.run(clean.tokens, edits=[Set(part, value=value)])
        assert not torch.equal(here, value)
        torch.testing.assert_close(found, edited.logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("task", ["recall", "table"])
def test_where_only_the_planted_parts_write_searches_find_them(task: str) -> None:
    module = RECIPE.untrained().eval()
    model, blocks = clew.open(module, tokenizer=RECIPE.tokenizer()), module.model.layers
    with torch.no_grad():
        for part in set(RECIPE.PARTS) - set(RECIPE.PLANTED[task]):
            kind, _, place = part.partition(".")
            layer, head = map(int, f"{place}/0".split("/")[:2])
            if kind == "mixer":
                blocks[layer].mamba.out_proj.weight.zero_()
            elif kind == "head":
                blocks[layer].self_attn.o_proj.weight[:, 8 * head : 8 * head + 8] = 0
            else:
                mlp = blocks[layer].feed_forward
                (mlp.experts.down_proj if hasattr(mlp, "experts") else mlp.down_proj.weight).zero_()
    got = RECIPE.searched(model, task, 4, ("exact_patching",))["searches"]["exact_patching"]
    assert got["least true"] > 1e3 * got["most other"], got
    assert set(got["recovered"].values()) == {1.0}
