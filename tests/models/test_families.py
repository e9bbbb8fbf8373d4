"""The table of families: what it says of those that we know, and what a file of it may hold."""

from collections import Counter

import pytest
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL

from clew.files import read_any_json, write_json
from clew.finder import names
from clew.models.families import VERDICTS, Families, Family, Lack, families


def test_every_type_of_causal_language_model_is_in_it_once_and_none_is_wrong():
    rows = families().rows
    assert [row.type for row in rows] == sorted(CAUSAL)
    assert all(row.made == CAUSAL[row.type] and row.kind == "causal" for row in rows)
    counts = families().counts
    assert counts == {verdict: Counter(row.verdict for row in rows)[verdict] for verdict in VERDICTS}
    assert counts["wrong"] == 0 and sum(counts.values()) == len(rows)


def test_what_a_family_lacks_goes_with_its_verdict():
    for row in families().rows:
        opened = row.verdict in ("exact", "partly")
        assert bool(row.sites) == bool(row.checks) == opened and bool(row.lacks) == (row.verdict == "partly"), row
        assert bool(row.why) != opened and all(lack.why for lack in row.lacks), row


def test_families_that_have_a_record_open():
    written = {name.replace("_", "-") for name in names("models.architectures")}
    rows = {row.type.replace("_", "-"): row for row in families().rows}
    assert {rows[name].verdict for name in written} <= {"exact", "partly"}
    assert rows["llama"].verdict == "exact" and rows["mixtral"].sites["expert"] == 3


def test_a_table_comes_back_from_its_file(tmp_path):
    lacks = (Lack("pattern", 3, "it is not seen"), Lack("cache", 0, "it differs"))
    row = Family("a_b", "ABForCausalLM", "causal", "partly", {"embed": 1}, lacks, checks=2)
    table = Families("5.0", "2.6", (row,))
    assert Families.load(table.save(tmp_path / "a.json")) == table
    assert row.reasons == {"it is not seen": lacks[:1], "it differs": lacks[1:]}
    assert row.said == "pattern (3), cache" and table.named("a-b") == table.named("abfor") == table


def test_a_name_that_is_none_names_the_near_ones():
    with pytest.raises(ValueError, match="no family is called 'gtp2'; did you mean 'gpt2'"):
        families().named("gtp2")


def test_a_verdict_that_is_none_is_refused_with_its_place(tmp_path):
    path = Families("5.0", "2.6", (Family("a", "A", "causal", "exact", {"embed": 1}),)).save(tmp_path / "a.json")
    value = read_any_json(path)
    value["rows"][0]["verdict"] = "perfect"
    with pytest.raises(ValueError, match=r"a\.json: rows\[0\]\.verdict is 'perfect'"):
        Families.load(write_json(path, value))
