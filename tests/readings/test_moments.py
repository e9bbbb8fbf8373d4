"""Second moments: streamed equals at once, what the cache gives back and refuses, and where shrinkage leads."""

from collections.abc import Sequence
from inspect import unwrap
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from clew.changes import Add
from clew.data.text.windows import Windows, cut
from clew.models import Model
from clew.models.body import Body
from clew.models.run import forward
from clew.readings import moments as room
from clew.readings.moments import Moment, second_moment
from clew.sites import Site, Weight
from tests.models.tiny import model_of, module_of, word_tokenizer

F64 = torch.float64
DOWN, QUERY, KEY = Weight("down.1"), Weight("q.1"), Weight("k.1")
TEXTS = ["the nurse said that she was not very good . The old king and the red queen said that he was good ."] * 5 + [
    f"the {a} {b} said of the {c} that he was {d} ." for a in ("old", "good", "red") for b in ("king", "man", "doctor")
    for c in ("queen", "woman") for d in ("not old", "very good")
]  # fmt: skip


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLEW_CACHE", str(tmp_path))
    return tmp_path / "second_moment"


def text(texts: Sequence[str] = TEXTS) -> Windows:
    return cut(texts, word_tokenizer(), context=12)


def inputs(model: Model, windows: Windows, site: str) -> Tensor:
    """Everything that counts, read window by window."""
    rows = [model.run(ids[None].long(), read=[site], logits=0)[site][0][keep]
            for ids, keep in zip(windows.ids, windows.keep, strict=True)]  # fmt: skip
    return torch.cat(rows)


def planted(samples: int, spectrum: Tensor, shrink: bool | float = True, seed: int = 0) -> Moment:
    """The moment of Gaussian samples whose covariance is diagonal."""
    x = torch.randn(samples, len(spectrum), dtype=F64, generator=torch.Generator().manual_seed(seed)) * spectrum.sqrt()
    return Moment(x.T @ x, float(x.square().sum(-1).square().sum()), samples, shrink)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_streamed_is_the_mean_of_the_products(family: str) -> None:
    model, windows = model_of(family, F64), text()
    found = second_moment(model, ["down.1", "q.1"], windows, shrink=False, least=0.0, tokens=50)
    for weight, site in ((DOWN, "neuron.1"), (QUERY, "attn_in.1")):
        x = inputs(model, windows, site)
        assert found[weight].samples == len(x) == windows.tokens
        assert torch.allclose(found[weight].matrix, x.T @ x / len(x), rtol=1e-12, atol=1e-14)
        assert found[weight].fourth == pytest.approx(float(x.norm(dim=-1).pow(4).sum()))


def test_neither_the_order_of_the_text_nor_the_batches_nor_the_parts_matter() -> None:
    model, windows = model_of("llama", F64), text()
    of = lambda some, tokens=2048: second_moment(model, ["down.1"], some, least=0.0, tokens=tokens, cache=False)[DOWN]  # noqa: E731
    whole, shuffled = of(windows), of(windows.shuffled(3), 30)
    first, second = windows.split(0.5)
    for other in (shuffled, of(first) + of(second)):
        assert torch.allclose(other.matrix, whole.matrix, rtol=1e-11, atol=1e-13)
        assert other.samples == whole.samples


def test_weights_that_read_one_site_share_a_moment() -> None:
    found = second_moment(model_of(), ["q.1", "k.1"], text(), least=0.0)
    assert list(found) == [QUERY, KEY] and torch.equal(found[QUERY].gram, found[KEY].gram)


def test_it_is_read_once_and_kept_to_the_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    model, windows, runs = model_of(), text(), []
    monkeypatch.setattr("clew.models.model.forward", lambda *a, **k: (runs.append(1), forward(*a, **k))[1])
    first = second_moment(model, ["down.1"], windows, least=0.0, shrink=False)[DOWN]
    read = len(runs)
    again = second_moment(model, ["down.1"], windows, least=0.0)[DOWN]
    assert len(runs) == read > 0 and torch.equal(again.gram, first.gram) and again.fourth == first.fourth
    for other in (
        (model_of("gpt2"), windows, "down.1"),
        (model, text(TEXTS[:9]), "down.1"),
        (model, windows, "down.2"),
    ):
        read = len(runs)
        second_moment(other[0], [other[2]], other[1], least=0.0)
        assert len(runs) > read


def test_the_same_weights_under_another_config_have_a_moment_of_their_own(own_cache: Path) -> None:
    module = module_of("llama")
    other = type(module)(type(module.config)(**{**module.config.to_dict(), "rms_norm_eps": 0.5})).eval()
    other.load_state_dict(module.state_dict())
    one, two = (Model(Body(m, word_tokenizer(), "tiny")) for m in (module, other))
    first, second = (second_moment(m, ["down.1"], text(), least=0.0)[DOWN] for m in (one, two))
    assert one.body.fingerprint == two.body.fingerprint and not torch.allclose(first.gram, second.gram)
    assert len(list(own_cache.iterdir())) == 2
    with pytest.raises(ValueError, match="different maps"):
        unwrap(Moment.__add__)(first, second)


def test_a_model_that_has_learnt_since_has_a_moment_of_its_own(own_cache: Path) -> None:
    model = model_of("llama", F64)
    before = second_moment(model, ["down.1"], text(), least=0.0)[DOWN]
    with torch.no_grad():
        model.body.module.model.layers[1].mlp.up_proj.weight.mul_(2)
    after = second_moment(model, ["down.1"], text(), least=0.0)[DOWN]
    assert torch.allclose(after.gram, 4 * before.gram) and len(list(own_cache.iterdir())) == 2


def test_without_a_place_for_the_cache_moments_are_taken_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "SAVED_EVERY", -1.0)
    kept = second_moment(model_of("llama", F64), ["down.1"], text(), least=0.0)[DOWN]
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("CLEW_CACHE", str(tmp_path / "file" / "cache"))
    assert torch.equal(second_moment(model_of("llama", F64), ["down.1"], text(), least=0.0)[DOWN].gram, kept.gram)


def test_a_stopped_run_goes_on_where_it_was(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, windows = model_of("llama", F64), text()
    monkeypatch.setattr(room, "SAVED_EVERY", -1.0)
    whole = second_moment(model, ["down.1"], windows, least=0.0, tokens=40, cache=False)[DOWN]

    def stop(done: int, of: int) -> None:
        if done > of / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        second_moment(model, ["down.1"], windows, least=0.0, tokens=40, progress=stop)
    seen: list[int] = []
    found = second_moment(
        model, ["down.1"], windows, least=0.0, tokens=40, progress=lambda done, of: seen.append(done)
    )[DOWN]
    assert seen[0] > windows.tokens / 3 and torch.equal(found.gram, whole.gram) and found.samples == whole.samples
    assert [p.name for p in own_cache.iterdir() if ".part" in p.name] == []


def test_a_foreign_or_broken_file_in_the_cache_is_refused(own_cache: Path) -> None:
    model, windows = model_of(), text()
    second_moment(model, ["down.1"], windows, least=0.0)
    (path,) = own_cache.iterdir()
    save_file({"gram": torch.zeros(3, 3)}, path, {"format": room.FORMAT, "clew": '{"site": "neuron.7"}'})
    with pytest.raises(ValueError, match=r"\[3, 3\] of neuron.7.*remove the file"):
        second_moment(model, ["down.1"], windows, least=0.0)
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        second_moment(model, ["down.1"], windows, least=0.0)


def test_an_edited_model_has_moments_of_its_own(own_cache: Path) -> None:
    model, windows = model_of(), text()
    pushed = model.edited(Add(Site("mlp_in", 1), vector=torch.ones(32)))
    bare, moved = (second_moment(m, ["down.1"], windows, least=0.0)[DOWN] for m in (model, pushed))
    assert not torch.allclose(bare.gram, moved.gram) and len(list(own_cache.iterdir())) == 1


def test_shrinkage_vanishes_with_samples_and_takes_over_without() -> None:
    spectrum = torch.linspace(0.1, 4, 20, dtype=F64)
    many, few, one = planted(100_000, spectrum), planted(10, spectrum), planted(1, spectrum)
    assert many.shrinkage < 1e-3 and few.shrinkage > 0.2 and one.shrinkage == 1.0  # one sample shows no spread
    assert planted(10, torch.ones(20, dtype=F64)).shrinkage > 0.9  # a sphere it is
    assert (
        torch.linalg.eigvalsh(few.matrix)[0] > 0 > torch.linalg.eigvalsh(planted(10, spectrum, False).matrix)[0] - 1e-9
    )


def test_the_estimated_share_is_about_the_best_one() -> None:
    spectrum = torch.logspace(-2, 1, 30, base=10, dtype=F64)
    truth, shares = torch.diag(spectrum), torch.linspace(0, 1, 101).tolist()
    error = lambda share: sum(float((planted(40, spectrum, share, s).matrix - truth).square().sum()) for s in range(20))  # noqa: E731
    best, guessed = min(map(error, shares)), error(True)
    assert guessed < 1.1 * best < error(False)


def test_ranks_of_a_flat_spectrum_are_its_width_and_lie_between_one_and_it() -> None:
    flat = Moment(torch.eye(8, dtype=F64), 8.0, 1)
    assert flat.effective_rank == pytest.approx(8) and flat.participation == pytest.approx(8)
    steep = planted(1000, torch.tensor([100.0, 1, 1, 1], dtype=F64))
    assert 1 < steep.participation < steep.effective_rank < 4


def test_too_little_text_is_refused_unless_one_insists() -> None:
    model, little = model_of(), text(["the old king said ."])
    with pytest.raises(ValueError, match=r"4 samples are too few .* what down.1 reads"):
        second_moment(model, ["down.1"], little)
    assert second_moment(model, ["down.1"], little, least=0.0)[DOWN].samples == 4


def test_what_has_no_moment_is_refused() -> None:
    model = model_of()
    with pytest.raises(ValueError, match="no site holds what model.layers.1.mlp.up_proj reads"):
        second_moment(model, ["model.layers.1.mlp.up_proj"], text())
    with pytest.raises(ValueError, match="shrink=2"):
        second_moment(model, ["down.1"], text(), shrink=2.0)
    with pytest.raises(ValueError, match="name at least one weight"):
        second_moment(model, [], text())
    with pytest.raises(ValueError, match="different maps"):
        unwrap(Moment.__add__)(planted(3, torch.ones(4, dtype=F64)), planted(3, torch.ones(5, dtype=F64)))


@pytest.mark.parametrize(
    ("tensors", "about", "said"),
    [
        ({"gram": torch.full((48, 48), torch.nan, dtype=F64)}, {}, "values of gram in .* are not finite"),
        ({"gram": torch.eye(48)}, {}, "gram in .* is of torch.float32; torch.float64 is due"),
        ({"gram": torch.eye(48, dtype=F64), "more": torch.ones(1, dtype=F64)}, {}, "also holds more"),
        ({}, {"samples": "9"}, "samples is '9'; a whole number is due"),
        ({}, {"samples": 0}, "samples is 0; it is at least 1"),
        ({}, {"fourth": -1.0}, "fourth is -1.0; it is at least 0"),
        ({}, {"more": 1}, "has 'more', which is none of"),
    ],
)
def test_sums_that_are_none_are_refused(own_cache: Path, tensors: dict, about: dict, said: str) -> None:
    model, windows = model_of(), text()
    kept = second_moment(model, ["down.1"], windows, least=0.0)[DOWN]
    (path,) = own_cache.iterdir()
    whole = {**kept.about, "samples": kept.samples, "fourth": kept.fourth}
    room._write(path, {"gram": kept.gram} | tensors, whole | about)
    with pytest.raises(ValueError, match=said) as caught:
        second_moment(model, ["down.1"], windows, least=0.0)
    assert str(path) in str(caught.value)


def test_an_unfinished_run_that_holds_something_else_is_refused(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, windows = model_of("llama", F64), text()
    monkeypatch.setattr(room, "SAVED_EVERY", -1.0)

    def stop(done: int, of: int) -> None:
        if done > of / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        second_moment(model, ["down.1"], windows, least=0.0, tokens=40, progress=stop)
    (path,) = own_cache.iterdir()
    tensors = room._read(path)[0]
    for spoilt, said in (
        ({name: t for name, t in tensors.items() if name != "batches"}, "has no 'batches'"),
        (tensors | {"batches": torch.tensor(1.0)}, "batches in .* is of torch.float32; torch.int64 is due"),
        (tensors | {"neuron.1": torch.eye(3).double()}, r"neuron\.1 in .* has the shape \[3, 3\]; remove the file"),
    ):
        room._write(path, {name: t.clone() for name, t in spoilt.items()}, {})
        with pytest.raises(ValueError, match=said):
            second_moment(model, ["down.1"], windows, least=0.0, tokens=40)
