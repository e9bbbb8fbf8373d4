from dataclasses import replace

import pytest

from clew.studies.atlas.atlas import Atlas, packed
from tests.studies.atlas.toys import small


def test_a_folder_gives_back_the_same(tmp_path):
    again = Atlas.load(small().save(tmp_path).parent)
    assert again.to_json() == small().to_json() and again.folder == tmp_path
    assert Atlas.load(tmp_path / "atlas.json").entries == again.entries
    assert "behaviours of" in repr(again) and again[again.entries[0].id] == again.entries[0]
    with pytest.raises(KeyError, match="there is no behaviour 99"):
        again[99]


def test_search_is_of_names_answers_and_contexts_whatever_the_case():
    atlas = small()
    (answer, _), *_ = atlas.entries[0].answers
    assert atlas.entries[0] in atlas.search(answer.upper()) and len(atlas.search("")) == len(atlas)
    assert atlas.search("capital zebra") == []


def test_units_are_found_with_what_they_serve():
    atlas = small()
    unit, n = atlas.features[0]
    serving = atlas.serving(unit)
    assert len(serving) == n and all(0 < share <= 1 for _, share in serving)
    assert [s for _, s in serving] == sorted((s for _, s in serving), reverse=True) and atlas.serving(
        "resid.2/999999"
    ) == []


def test_circuits_are_opened_from_the_folder_alone(tmp_path):
    atlas = small()
    one = next(entry for entry in atlas if entry.circuit)
    assert [n.address for n in atlas.circuit(one.id).top(1)] == [one.circuit.nodes[0][0]]
    with pytest.raises(ValueError, match="an atlas that was packed keeps the nodes alone"):
        replace(atlas, folder=None).circuit(one.id)
    with pytest.raises(ValueError, match="has no circuit"):
        replace(atlas, entries=(replace(one, circuit=None),)).circuit(one.id)


def test_packed_it_shows_the_contexts_of_some_sources_and_the_strongest_nodes():
    atlas = packed(small(), shown=["ours"], nodes=1, examples=2)
    assert all(len(one.circuit.nodes) <= 1 for one in atlas if one.circuit)
    assert {e.source for one in atlas for e in one.examples} == {0} and all(len(one.examples) <= 2 for one in atlas)
    with pytest.raises(ValueError, match="there is no source 'theirs'; there are ours, others"):
        packed(small(), shown=["theirs"])


def test_the_report_counts_what_is_joined_once():
    atlas = small()
    rows = {(row.measure, row.of): row for row in atlas.report().rows}
    circuits = [one for one in atlas if one.circuit]
    assert rows["faithfulness", "mean"].examples == len(circuits) and rows["not trivial", ""].examples == len(atlas)
    assert rows["faithfulness", "mean"].value > rows["faithfulness", "random, mean"].value
    first, *rest = circuits
    joined = replace(atlas, entries=(first, *(replace(one, same_as=first.id) for one in rest)))
    assert joined.report()["faithfulness"].examples == 1
    assert "0 behaviours" in repr(Atlas("m", (), {}, {}, {}, ()))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda held: held | {"version": 9}, "schema version 9; this clew reads 1"),
        (lambda held: held | {"entries": [held["entries"][0]] * 2}, "two entries have one number"),
        (lambda held: held | {"entries": [held["entries"][0] | {"same_as": 77}]}, "speaks of"),
        (lambda held: held | {"sources": []}, "has a context of source"),
        (lambda held: held | {"stability": [["many", 0.5]]}, "a whole number is due"),
        (lambda held: held | {"counts": {"judged": 1}}, "counts has no 'sure'"),
        (lambda held: {name: held[name] for name in held if name != "units"}, "has no 'units'"),
    ],
)
def test_a_wrong_file_is_named(change, said):
    held = small().to_json()
    held["entries"] = [one | {"near": []} for one in held["entries"]]
    with pytest.raises(ValueError, match=said):
        Atlas.from_json(change(held), "atlas.json")
