"""The table of families, a part of it made again; and what becomes of a family that takes its process down."""

import os
import time
from pathlib import Path

import pytest
import transformers

from clew.files import read_any_json
from clew.models.families import families
from tests.recipes.recipe import recipe

made = recipe("families")
PART = ["gpt2", "mamba", "olmoe", "gemma4_assistant", "rwkv", "opt"]
"""Of each verdict some, that take no long."""


@pytest.mark.skipif(transformers.__version__ != families().transformers, reason="the table is of another transformers")
@pytest.mark.parametrize("kind", PART)
def test_a_part_of_the_table_made_again_is_what_is_shipped(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("CLEW_CACHE", str(tmp_path))
    (again,) = made.short([made.looked_at(kind)]).rows
    shipped = next(row for row in families().rows if row.type == kind)
    assert again == shipped


def test_the_part_has_of_every_verdict():
    assert {row.verdict for row in families().rows if row.type in PART} == {"exact", "partly", "refused", "not built"}


def test_the_page_and_the_measured_table_are_those_of_what_is_shipped():
    page = made.PAGE.read_text(encoding="utf-8")
    assert page == made.on_page(page, made.table(families()))
    assert made.short(read_any_json(made.RESULT)["rows"]).rows == families().rows


@pytest.mark.parametrize(
    ("does", "why"),
    [
        (lambda kind: os._exit(7), "its process ended by 7"),
        (lambda kind: time.sleep(60), "it takes more than 0.5 seconds"),
        (lambda kind: 1 // 0, "ZeroDivisionError: integer division or modulo by zero"),
    ],
)
def test_a_family_that_takes_its_process_down_is_wrong_and_no_other_with_it(does, why, monkeypatch):
    for name, value in {"START": "fork", "SECONDS": 0.5, "looked_at": does}.items():
        monkeypatch.setattr(made, name, value)
    row = made.alone("gpt2")
    assert (row["verdict"], row["why"]) == ("wrong", why)


def test_what_surgery_finds_wrong_is_named(tmp_path, monkeypatch):
    claims = [made.surgery.Claim("an edit", "head.1", 0.0, 0.5), made.surgery.Claim("an edit", "head.2", 0.25, 0.5)]
    monkeypatch.setenv("CLEW_CACHE", str(tmp_path))
    monkeypatch.setattr(made.surgery, "checked", lambda model: iter(claims))
    row = made.looked_at("gpt2")
    assert (row["verdict"], row["why"]) == ("wrong", "an edit at head.2: off by 2.5e-01")


def test_reasons_say_what_is_the_same_for_all_blocks_once():
    said = (
        "A is of the family 'a', which has no architecture record, and none could be inferred: model.layers.3.mlp gives "
        "zeros. To add one, write one file"
    )
    assert made._reason(said) == "model.layers.N.mlp gives zeros"
    assert made._reason("the config sets x=0.5, which nobody reads") == "the config sets x=0.5, which nobody reads"


def test_a_type_that_is_none_names_the_near_ones():
    with pytest.raises(ValueError, match="'gtp2' is no type of causal language model; did you mean 'gpt2'"):
        made.run(["gtp2"])


def test_the_recipe_lies_where_its_page_says():
    assert Path(made.__file__).name in made.PAGE.read_text(encoding="utf-8")
