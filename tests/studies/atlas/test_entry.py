import pytest

from clew.studies.atlas.entry import Entry
from tests.studies.atlas.toys import small


def test_an_entry_goes_through_json():
    for one in small():
        assert Entry.from_json(one.to_json()) == one


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": -1}, "id is -1; it is at least 0"),
        ({"fit": [1.0]}, "fit is .* two values are due"),
        ({"fit": ["a", None]}, "a finite number is due"),
        ({"at": [0.0, "x"]}, "a finite number is due"),
        ({"like": {}}, "like has no 'size'"),
        ({"answers": [[1, 1]]}, "text is due"),
        ({"examples": [{"text": "a"}]}, "has no 'answer'"),
        ({"near": [[0.5, 1.0]]}, "a whole number is due"),
        ({"circuit": {"nodes": []}}, "circuit has no 'scored'"),
        ({"more": 1}, "'more'"),
    ],
)
def test_a_wrong_one_is_named(change, said):
    held = small().entries[0].to_json()
    with pytest.raises(ValueError, match=said):
        Entry.from_json({**held, **change}, "a.json: entries[0]")


def test_the_title_is_the_name_or_what_is_usual_and_faithfulness_is_asked_by_kind():
    one = next(entry for entry in small() if entry.circuit)
    assert one.title == (one.name or one.usual)
    assert one.circuit.faithfulness().of == "mean" and one.circuit.faithfulness("random, mean").of == "random, mean"
    assert one.circuit.faithfulness("zero") is None
