"""A text seen in how near it is to keywords: their directions by hand, and cosines."""

import pytest
import torch

from clew.studies.shift.bottleneck import FRAME, concepts, nearness
from tests.measures.labelled_model import D, embedding_model

MODEL = embedding_model({"teaches": (1.0,), "heals": (-1.0,), "farms": (0.0, 3.0), "word": (0.0, 0.0, 50.0)})


def test_a_keyword_is_its_last_token_less_the_mean() -> None:
    found = concepts(MODEL, ("teaches", "heals"), "embed")
    assert torch.equal(found, torch.eye(D)[:1].mul(torch.tensor([[1.0], [-1.0]])))
    x = torch.zeros(1, D).index_fill(1, torch.tensor([0, 1]), 3.0)
    assert nearness(x, found)[0].tolist() == pytest.approx([0.5**0.5, -(0.5**0.5)])


def test_one_keyword_is_no_bottleneck() -> None:
    with pytest.raises(ValueError, match="at least two keywords"):
        concepts(MODEL, ("teaches",), "embed")


def test_it_is_read_at_the_end_of_its_frame_and_not_at_the_frame() -> None:
    """The frame holds a loud word; no concept is near it."""
    assert " word " in FRAME and FRAME.endswith(" {}")
    assert concepts(MODEL, ("teaches", "heals", "farms"), "embed")[:, 2].abs().max() == 0


def test_concepts_are_of_norm_one_and_add_up_to_nothing_before_that() -> None:
    found = concepts(MODEL, ("teaches", "heals", "farms"), "embed")
    assert found.norm(dim=1).tolist() == pytest.approx([1.0] * 3)
    assert torch.allclose(found[2, :2], torch.tensor([0.0, 1.0]))  # the mean is (0, 1, ...), half of what is above it
    assert torch.allclose(found[0, :2], torch.tensor([0.5**0.5, -(0.5**0.5)]))


def test_nearness_is_a_cosine_whatever_the_length_and_precision() -> None:
    concept = concepts(MODEL, ("teaches", "heals", "farms"), "embed")
    x = torch.randn(5, D, generator=torch.Generator().manual_seed(0)).double()
    near = nearness(x, concept)
    assert near.dtype == torch.float64 and near.shape == (5, 3) and float(near.abs().max()) <= 1 + 1e-6
    assert torch.allclose(near, nearness(7 * x, concept))
    assert torch.allclose(near, torch.cosine_similarity(x[:, None], concept.double()[None], dim=-1), atol=1e-6)


def test_two_names_of_one_keyword_are_one() -> None:
    with pytest.raises(ValueError, match=r"\['heals', 'heals'\] were given"):
        concepts(MODEL, ("heals", "heals"), "embed")
