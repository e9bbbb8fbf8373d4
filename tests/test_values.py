"""Values: their fields as options where words are typed, and back."""

import json
from dataclasses import dataclass

import pytest

from clew import finder
from clew.provenance import _plain
from clew.values import Value, folded, options, restored


@dataclass(frozen=True)
class Paint(Value):
    kind: str = "oil"
    layers: int = 1

    def __post_init__(self) -> None:
        if self.kind == "water" and self.layers > 1:
            raise ValueError("water runs")


def wall(width: int, *, paint: Paint | str = Paint(layers=2), height: float = 2.0) -> None: ...


def test_the_fields_of_a_value_are_options_and_its_kind_goes_by_its_name():
    assert {name: (o.parameter, o.field, o.default) for name, o in options(wall).items()} == {
        "paint": ("paint", "kind", "oil"),
        "layers": ("paint", "layers", 2),
        "height": ("height", "", 2.0),
    }


def test_options_become_values_again_and_fields_left_out_keep_the_defaults_of_the_function():
    assert folded(wall, {"paint": "chalk", "height": 3.0}) == {"paint": Paint("chalk", 2), "height": 3.0}
    assert folded(wall, {"paint": Paint("chalk")}) == {"paint": Paint("chalk", 1)}
    assert folded(wall, {"strange": 1}) == {"strange": 1}


def test_fields_are_checked_together_and_not_one_after_the_other():
    assert folded(wall, {"paint": "water", "layers": 1}) == {"paint": Paint("water", 1)}
    with pytest.raises(ValueError, match="water runs"):
        folded(wall, {"paint": "water"})


def test_a_record_of_a_value_is_plain_json_and_comes_back():
    recorded = json.loads(json.dumps({"paint": _plain(Paint("chalk", 3)), "height": 2.0}))
    assert recorded == {"paint": {"kind": "chalk", "layers": 3}, "height": 2.0}
    assert restored(wall, recorded) == {"paint": Paint("chalk", 3), "height": 2.0}


@pytest.mark.parametrize("room", ["methods", "measures.circuits", "measures.dictionaries", "measures.edits", "edits"])
def test_no_two_options_of_a_function_share_a_name(room):
    for name in finder.names(room):
        function = finder.load(room, name)
        flat = options(function)
        fields = sum(
            len(o.owner.__dataclass_fields__) for o in {o.parameter: o for o in flat.values() if o.owner}.values()
        )
        assert len(flat) == fields + sum(o.owner is None for o in flat.values()), name
