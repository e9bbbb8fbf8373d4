"""Sources: every row once an epoch, the same rows for the same number, and the rows are what flows."""

import pytest
import torch

from clew.data.text.windows import Windows, cut
from clew.models import Model
from clew.readings.source import Live, Rows, Source, place
from clew.sites import Site
from tests.models.tiny import model_of, word_tokenizer

TEXTS = ["the nurse said that she was not very good . The old king said of the red queen .", "a man was old ."] * 9


def windows() -> Windows:
    return cut(TEXTS, word_tokenizer(), context=8)


def live(model: Model | None = None, **options: object) -> Live:
    options = {"sites": ["embed", "resid.0"], "round": 40, "batch": 32} | options
    return Live(model or model_of(), windows(), **options)


def epoch(source: Source, site: str, number: int = 0) -> torch.Tensor:
    start = number * source.rounds
    return torch.cat([source.round(n)[Site.parse(site)] for n in range(start, start + source.rounds)])


def sorted_rows(x: torch.Tensor) -> torch.Tensor:
    return torch.tensor(sorted(x.tolist()))


def test_rows_are_a_source_in_strides() -> None:
    x = torch.arange(20.0).view(10, 2)
    rows = Rows({"resid.1": x + 100, "resid.0": x}, round=4)
    assert (
        isinstance(rows, Source) and rows.rounds == 3 and rows.sites == [Site.parse("resid.0"), Site.parse("resid.1")]
    )
    assert torch.equal(rows.round(1)[Site.parse("resid.0")], x[[1, 4, 7]])
    assert torch.equal(rows.round(4)[Site.parse("resid.1")], x[[1, 4, 7]] + 100)
    assert torch.equal(sorted_rows(epoch(rows, "resid.0")), x)


@pytest.mark.parametrize("rows", [{}, {"resid.0": torch.ones(0, 2)}, {"resid.0": torch.ones(3)},
                                  {"resid.0": torch.ones(2, 2), "resid.1": torch.ones(3, 2)}])  # fmt: skip
def test_rows_that_are_no_source(rows: dict[str, torch.Tensor]) -> None:
    with pytest.raises(ValueError, match="equally many rows"):
        Rows(rows)


def test_live_rows_are_what_flows() -> None:
    model, cutting = model_of(), windows()
    source = Live(model, cutting, sites=["mlp.1", "resid.0"], batch=64)
    assert isinstance(source, Source) and source.rounds == 1
    run = [model.run(row[None].long(), read=["mlp.1"])["mlp.1"][0, 1:] for row in cutting.ids]
    assert torch.allclose(sorted_rows(source.round(0)[Site.parse("mlp.1")]), sorted_rows(torch.cat(run)), atol=1e-4)
    assert len(source.round(0)[Site.parse("resid.0")]) == cutting.tokens


def test_live_rounds_hold_every_row_once_an_epoch_in_a_new_order() -> None:
    source, whole = live(), live(round=1000)
    assert source.rounds == -(-windows().tokens // 40) and whole.rounds == 1
    assert torch.equal(sorted_rows(epoch(source, "embed")), sorted_rows(epoch(whole, "embed")))
    assert torch.equal(sorted_rows(epoch(source, "embed", 1)), sorted_rows(epoch(whole, "embed")))
    assert not torch.equal(epoch(source, "embed", 1), epoch(source, "embed"))


def test_any_live_round_can_be_made_again() -> None:
    there, again = live(), live()
    for number in (7, 2, 11):
        for site, x in there.round(number).items():
            assert torch.equal(x, again.round(number)[site])
    assert not torch.equal(live(seed=1).round(7)[Site.parse("embed")], there.round(7)[Site.parse("embed")])


def test_live_sites_are_aligned_by_row() -> None:
    """What the first block adds to a row of one site must be what it adds to that row of the others."""
    got = {str(s): x for s, x in live(sites=["embed", "attn.0", "mlp.0", "resid.0"]).round(1).items()}
    assert torch.allclose(got["resid.0"], got["embed"] + got["attn.0"] + got["mlp.0"], atol=1e-4)


def test_processes_share_an_epoch() -> None:
    shares = [live(rank=rank, world=3) for rank in range(3)]
    assert len({s.rounds for s in shares}) == 1
    together = torch.cat([epoch(s, "embed") for s in shares])
    assert torch.equal(sorted_rows(together), sorted_rows(epoch(live(), "embed")))
    with pytest.raises(ValueError, match="cannot be shared among 1000 processes"):
        live(rank=0, world=1000)


def test_processes_share_rows() -> None:
    x = torch.arange(20.0).view(10, 2)
    shares = [Rows({"resid.0": x}, round=3, rank=rank, world=2) for rank in range(2)]
    assert [s.rounds for s in shares] == [2, 2] and torch.equal(shares[1].round(2)[Site.parse("resid.0")], x[[1, 5, 9]])
    assert torch.equal(sorted_rows(torch.cat([epoch(s, "resid.0", 3) for s in shares])), x)


def test_live_stops_at_the_last_site_and_its_rows_can_be_learnt_from(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of()
    assert model.body.widths  # read off a whole pass, once
    monkeypatch.setattr(model.body.blocks[1], "forward", None)
    x = live(model).round(0)[Site.parse("resid.0")]
    weight = torch.zeros(x.shape[1], requires_grad=True)
    (x @ weight).sum().backward()
    assert torch.allclose(weight.grad, x.sum(0), atol=1e-3)


def test_every_site_but_the_patterns_can_be_read() -> None:
    model = model_of("gpt2")
    sites = [s for s in model.sites() if s.part != "pattern"]
    got = live(model, sites=sites).round(0)
    assert {s: x.shape[1] for s, x in got.items()} == {s: model.body.widths[s] for s in sites}
    with pytest.raises(ValueError, match="patterns make no rows"):
        live(model, sites=["pattern.0"])
    with pytest.raises(ValueError, match=r"at least one site to read, as in 'resid\."):
        live(model, sites=[])


def test_place_is_given_or_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert place(None, None) == (0, 1) and place(2, 3) == (2, 3)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert place(None, None) == (1, 4) and place(0, 1) == (0, 1)
    with pytest.raises(ValueError, match="there is no process 3 of 3"):
        place(3, 3)
    with pytest.raises(ValueError, match="give both or neither"):
        place(1, None)
