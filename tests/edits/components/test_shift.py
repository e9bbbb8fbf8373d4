import numpy as np
import pytest
import torch

import clew
from clew.circuits.verdicts import Verdicts
from clew.edits.components.shift import shift
from clew.stack import Stack
from tests.planted import random_behaviour, random_dictionary, tiny_model

LENS = tiny_model("llama").through(*(random_dictionary(f"resid.{i}", 32) for i in range(2)))
CIRCUIT = clew.find(LENS, random_behaviour(), by="attribution_patching", positions=True, held_out=False)
UNITS = [node.address.partition("@")[0] for node in CIRCUIT if node.unit >= 0]
ONE, TWO = next(u for u in UNITS if u.startswith("resid.0")), next(u for u in UNITS if u.startswith("resid.1"))
JUDGED = Verdicts.of(CIRCUIT).drop(ONE, "no", judge="Ada").drop(TWO, "neither", judge="Bo")


def test_dropped_units_are_zero_at_every_position_and_the_rest_stays() -> None:
    unit = int(ONE.partition("/")[2])
    tokens = torch.randint(3, 90, (2, 5), generator=torch.Generator().manual_seed(3))
    before = LENS.run(tokens, read=["resid.0"])
    after = LENS.edited(shift(LENS, CIRCUIT, verdicts=Verdicts.of(CIRCUIT).drop(ONE))).run(tokens, read=["resid.0"])
    code = before.code("resid.0")
    written = LENS.dictionaries[LENS.body.site("resid.0")].write(code * (torch.arange(code.shape[-1]) == unit))
    torch.testing.assert_close(after["resid.0"], before["resid.0"] - written, rtol=0, atol=1e-12)
    assert code[..., unit].count_nonzero() > 1


def test_it_says_what_was_dropped_why_and_by_whom() -> None:
    stack = shift(LENS, CIRCUIT, verdicts=JUDGED)
    assert stack.about["units"] == {ONE: "no", TWO: "neither"} and stack.about["judges"] == ["Ada", "Bo"]
    assert stack.about["left open"] == len(JUDGED) - 2


def test_it_travels(tmp_path) -> None:
    stack = shift(LENS, CIRCUIT, verdicts=JUDGED)
    again = Stack.load(stack.save(tmp_path / "shift.safetensors"))
    run = [LENS.edited(s).run(torch.arange(5, 11)[None]).logits for s in (stack, again)]
    assert torch.equal(*run)


def test_a_view_through_other_dictionaries_is_refused() -> None:
    other = tiny_model("llama").through(*(random_dictionary(f"resid.{i}", 32, seed=9) for i in range(2)))
    with pytest.raises(ValueError, match=r"circuit is of another dictionary at resid.0, resid.1"):
        shift(other, CIRCUIT, verdicts=JUDGED)
    with pytest.raises(ValueError, match=r"not seen through|model is seen through"):
        shift(tiny_model("llama"), CIRCUIT, verdicts=JUDGED)


def test_dropping_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing of this circuit is dropped"):
        shift(LENS, CIRCUIT.keep(np.array([0])), verdicts=Verdicts.of(CIRCUIT))
