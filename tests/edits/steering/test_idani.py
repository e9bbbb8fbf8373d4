import pytest
import torch

from clew.data.labels.labelled import Labelled
from clew.edits.steering.idani import idani
from tests.edits.planted_states import D, planted
from tests.models.tiny import model_of

EMBED = ["embed"]
SHIFTED = [3, 17, 4, 30, 9]


def domains(n: int = 300):
    """Two domains that differ in five coordinates, by 5, 4, 3, 2 and 1.5, and by sampling noise in the others."""
    g = torch.Generator().manual_seed(0)
    source, target = torch.randn(2, n, D, generator=g, dtype=torch.float64)
    source[:, SHIFTED] += torch.tensor([5.0, -4.0, 3.0, 2.0, 1.5])
    return planted(source, target)


@pytest.mark.parametrize("rank", ["probeless", "linear"])
def test_the_coordinates_that_were_shifted_are_ranked_first(rank):
    model, texts = domains()
    stack = idani(model, texts, sites=EMBED, rank=rank, k=5)
    units = stack.about["sites"]["embed"]["units"][:5]
    assert units == SHIFTED if rank == "probeless" else sorted(units) == sorted(SHIFTED)
    assert sorted(stack[0].vector.nonzero().flatten().tolist()) == sorted(SHIFTED)


def test_all_coordinates_with_shares_of_1_map_the_target_mean_onto_that_of_the_source():
    model, texts = domains(50)
    adapted = model.edited(idani(model, texts, sites=EMBED, first=1.0, last=1.0))
    source = model.run(torch.tensor(texts[0]), read=EMBED)["embed"].mean(0)
    target = adapted.run(torch.tensor(texts[1]), read=EMBED)["embed"].mean(0)
    assert torch.allclose(target, source, atol=1e-12, rtol=0)


def test_shares_fall_geometrically_with_the_rank():
    model, texts = domains(50)
    gap = idani(model, texts, sites=EMBED, first=1.0, last=1.0)[0].vector
    share = (idani(model, texts, sites=EMBED, first=8.0, last=1e-3)[0].vector / gap)[gap.abs().argsort(descending=True)]
    assert share[0] == pytest.approx(8.0) and share[-1] == pytest.approx(1e-3)
    assert torch.allclose(share[1:] / share[:-1], torch.tensor((1e-3 / 8) ** (1 / 31), dtype=torch.float64))


def test_no_coordinate_moves_no_bit():
    model = model_of("llama")
    texts = (["the nurse said", "a king"], ["she was not", "he"])
    adapted = model.edited(idani(model, texts, k=0))
    assert torch.equal(adapted.run("a good man").logits, model.run("a good man").logits)


def test_labelled_texts_name_their_domains():
    model = model_of("llama", torch.float64)
    texts = Labelled("reviews", ("a good king", "she", "the old man"), {"domain": ("source", "source", "target")})
    lists = (["a good king", "she"], ["the old man"])
    assert torch.equal(idani(model, texts)[0].vector, idani(model, lists)[0].vector)
    with pytest.raises(ValueError, match="no class 'films'; reviews has known: source, target"):
        idani(model, texts, positive="films")


def test_shares_lie_above_0():
    with pytest.raises(ValueError, match="k=None, first=0.0, last=0.001"):
        idani(model_of("llama"), (["a"], ["the"]), first=0.0)
