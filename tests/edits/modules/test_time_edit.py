"""TIME: which token is read as which, and that a whole painter does."""

import pytest
import torch

from clew.edits.modules.time_edit import aligned, edited, time_edit
from tests.edits.modules.pictures import LONG, Painter, text_encoder


def test_words_ends_and_padding_are_aligned():
    assert aligned([0, 5, 7, 1], [0, 5, 6, 7, 1], 6) == [0, 1, 3, 4, 5, 5]
    assert aligned([0, 7, 1], [0, 7, 1], 5) == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="words of the source in their order"):
        aligned([0, 5, 1], [0, 6, 1], 4)


def test_a_painter_reads_the_source_as_the_destination():
    (encoder, tokenizer), painter = text_encoder(), Painter()
    stack = time_edit(
        painter, {"the king": "the old king"}, encoder=encoder, tokenizer=tokenizer, frames=["{}"], strength=1e-9
    )
    ids = [tokenizer(t, padding="max_length", max_length=LONG, return_tensors="pt")["input_ids"]
           for t in ("the king", "the old king")]  # fmt: skip
    source, destination = (encoder(input_ids=i).last_hidden_state[0].detach() for i in ids)
    meant = destination[[0, 1, 3, 4, *range(5, LONG), LONG - 1]]  # the king is the third word there
    new = edited(painter, stack)
    assert torch.allclose(new(source), painter(meant), atol=1e-4)
    assert not torch.allclose(painter(source), painter(meant), atol=1e-2)


def test_a_source_that_is_its_destination_changes_nothing():
    encoder, tokenizer = text_encoder()
    stack = time_edit(Painter(), {"a man": "a man"}, encoder=encoder, tokenizer=tokenizer)
    assert len(stack) == 4 and all(float(update.change.abs().max()) < 1e-14 for update in stack)


def test_what_it_cannot_do_is_refused():
    encoder, tokenizer = text_encoder()
    with pytest.raises(ValueError, match="at least one source and destination"):
        time_edit(Painter(), {}, encoder=encoder, tokenizer=tokenizer)
    with pytest.raises(ValueError, match="'the king' -> 'a man': the destination must hold the words"):
        time_edit(Painter(), {"the king": "a man"}, encoder=encoder, tokenizer=tokenizer, frames=["{}"])


def test_an_encoder_in_training_is_read_without_dropout():
    (encoder, tokenizer), asked = text_encoder(), {"the king": "the old king"}
    one = time_edit(Painter(), asked, encoder=encoder, tokenizer=tokenizer)
    two = time_edit(Painter(), asked, encoder=encoder.train(), tokenizer=tokenizer)
    assert all(torch.equal(a.change, b.change) for a, b in zip(one, two, strict=True))
