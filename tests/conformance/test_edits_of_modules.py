"""Every edit of a bare module: its shape, said in words; the same twice, all modules left alone, and what is then read."""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any, get_type_hints

import pytest
import torch
from torch import Tensor, nn

from clew import finder
from clew.edits.modules._modules import edited, linear_at
from clew.edits.modules.refact import key_of
from clew.edits.modules.uce import concept
from clew.stack import Stack
from tests.conformance.shape import MOST, case_of, check_source, check_words, untouched
from tests.edits.modules.pictures import WIDE, Painter, clip, draw, text_encoder

NAMES = finder.names("edits.modules")
TEXT, SUBJECT = "the old king was good", "old king"
FC2 = "encoder.layers.0.mlp.fc2"
IMAGES = draw(3, 12, seed=3)


@cache
def parts() -> tuple[nn.Module, Any, nn.Module, nn.Module]:
    """A text encoder, its tokenizer, the CLIP that it is of, and a painter that reads it."""
    (whole, tokenizer), (encoder, _) = clip(), text_encoder()
    return encoder, tokenizer, whole, Painter()


def read(text: str) -> Tensor:
    """The last token of a text as the painter's maps read it."""
    encoder, tokenizer, *_ = parts()
    return concept(encoder, tokenizer, [text])[0]


def apart(stack: Stack, wanted: str, instead: str, places: tuple[int, int] = (0, 0)) -> tuple[float, float]:
    """How far the first map changed is from reading one text as the other, before and after."""
    painter, at = parts()[3], str(stack[0].at)
    old, new = linear_at(painter, at), linear_at(edited(painter, stack), at)
    return tuple(float((map(read(instead)) - old(read(wanted))).norm().detach()) for map in (old, new))  # type: ignore[return-value]


def met(found: Stack) -> None:
    """A concept is read as its guide."""
    before, after = apart(found, "the doctor", "the nurse")
    assert after < 0.1 * before


def meant(found: Stack) -> None:
    """The end of a prompt is read as the end of what it shall mean."""
    before, after = apart(found, "the old king", "the king")
    assert after < before


def valued(found: Stack) -> None:
    """The map gives the value at the subject."""
    encoder, tokenizer, *_ = parts()
    key = key_of(encoder, TEXT, SUBJECT, tokenizer=tokenizer, at=FC2)
    assert torch.allclose(linear_at(edited(encoder, found), FC2)(key), draw(WIDE), atol=1e-9)


def searched(found: Any) -> None:
    """What the subject shall mean looks like the target more than what it means now."""
    none = made("learn_value", steps=0)
    assert found.nll < none.nll - 0.1


def made(name: str, steps: int = 8) -> Any:
    encoder, tokenizer, whole, painter = parts()
    function = finder.load("edits.modules", name)
    reader = {"encoder": encoder, "tokenizer": tokenizer}
    if name == "uce":
        return function(painter, {"the nurse": "the doctor"}, retain=["queen"], strength=1e-6, **reader)
    if name == "time_edit":
        return function(painter, {"the king": "the old king"}, frames=["{}"], strength=1e-6, **reader)
    if name == "refact":
        return function(encoder, TEXT, SUBJECT, draw(WIDE), tokenizer=tokenizer, at=FC2)
    usual = inspect.signature(function).parameters["descent"].default
    descent = type(usual)(**{**vars(usual), "steps": steps})
    return function(whole, TEXT, SUBJECT, IMAGES[:1], IMAGES[1:], tokenizer=tokenizer, at=f"text_model.{FC2}",
                    frames=("{}",), descent=descent)  # fmt: skip


TRUE: dict[str, Callable[[Any], None]] = {"uce": met, "time_edit": meant, "refact": valued, "learn_value": searched}


@pytest.mark.parametrize("name", NAMES)
def test_it_takes_a_module_and_gives_a_stack_or_what_one_is_made_of(name):
    function = finder.load("edits.modules", name)
    first, *others = inspect.signature(function).parameters.values()
    hints = get_type_hints(function)
    assert hints[first.name] is nn.Module and len(others) < MOST
    assert hints["return"].__name__ in ("Stack", "Target")
    check_words(function, "edits.modules", "tokenizer")
    check_source(function)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_twice_every_module_left_alone_and_what_is_read_then(name, tmp_path):
    encoder, _, whole, painter = parts()
    with untouched(encoder, whole, painter):
        one, two = made(name), made(name)
    if isinstance(one, Stack):
        paths = [stack.save(tmp_path / f"{i}.safetensors") for i, stack in enumerate((one, two))]
        assert paths[0].read_bytes() == paths[1].read_bytes()
    else:
        assert torch.equal(one.wanted, two.wanted) and one.nll == two.nll
    case_of(TRUE, name)(one)
