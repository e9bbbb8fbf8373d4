"""fit: dictionaries whose numbers are known by hand, and identities between numbers."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from clew.changes import Set
from clew.dictionaries import ITDA, Identity, ReLU
from clew.measures.dictionaries.fit import fit
from clew.sites import Site
from tests.measures.dictionaries.planted_dictionaries import SITE, constant, model, row, signed_copy, text, values
from tests.planted import random_dictionary, tiny_model


def test_an_identity_is_perfect() -> None:
    report = fit(model(), text(), Identity(SITE, 32))
    for measure, wanted in {"FVU": 0, "MSE": 0, "L0": 32, "dead": 0, "delta cross-entropy": 0}.items():
        assert report[measure].value == wanted
    assert report["cosine"].value == pytest.approx(1) and report["l2 ratio"].value == pytest.approx(1)
    for of in ("mean ablation", "zero ablation"):
        assert row(report, "loss recovered", of).value == row(report, "KL score", of).value == 1


@pytest.mark.parametrize("site", [SITE, "mlp.1", "embed", "head.1"])
def test_splicing_an_exact_dictionary_leaves_every_bit_of_the_loss(site: str) -> None:
    report = fit(model(), text(), signed_copy(32, site))
    assert row(report, "cross-entropy", "spliced") == replace(row(report, "cross-entropy", "model"), of="spliced")
    assert report["FVU"].value == row(report, "KL", "spliced").value == 0
    assert report["L0"].value == 32  # of 64 units, the one of the right sign


def test_the_mean_recovers_nothing_of_mean_ablation_and_explains_nothing() -> None:
    view, windows = model(), text()
    mean = values(view, windows, signed_copy(32)).mean(0)
    report = fit(view, windows, constant(mean))
    assert row(report, "loss recovered", "mean ablation").value == pytest.approx(0, abs=1e-9)
    assert report["FVU"].value == pytest.approx(1) and report["L0"].value == 0 and report["dead"].value == 1
    zero = fit(view, windows, constant(torch.zeros_like(mean)))
    assert row(zero, "loss recovered", "zero ablation").value == 0
    assert zero["uncentred FVU"].value == 1 < zero["FVU"].value


def test_fvu_is_one_ratio_centred_by_the_mean_of_the_whole_text() -> None:
    """A dictionary that halves every deviation from a far-off mean leaves a quarter, whatever the batches are."""
    view, windows = model(), text()
    y = values(view, windows, signed_copy(32))
    half = signed_copy(32, scale=0.5)
    centred = ReLU(SITE, W_enc=half.W_enc, W_dec=half.W_dec, b_dec=y.mean(0), centred=True)
    report = fit(view, windows, centred)
    assert report["FVU"].value == pytest.approx(0.25, abs=1e-12)
    error = (y - y.mean(0)).square().sum() / 4
    assert report["uncentred FVU"].value == pytest.approx(float(error / y.square().sum()))
    assert report["MSE"].value == pytest.approx(float(error) / len(y))
    assert report["FVU"].low == pytest.approx(0.25, abs=0.05)


def test_a_dictionary_that_says_half_has_half_the_length_and_bias() -> None:
    report = fit(model(), text(), signed_copy(32, scale=0.5))
    assert report["l2 ratio"].value == pytest.approx(0.5)
    assert report["reconstruction bias"].value == pytest.approx(0.5)
    assert report["uncentred FVU"].value == pytest.approx(0.25)


def test_losses_are_those_of_whole_runs_of_each_window() -> None:
    view, windows, dictionary = model(), text(), random_dictionary("mlp.0", 32)
    report = fit(view, windows, dictionary)
    spliced, whole, kl = [], [], []
    for ids, keep in zip(windows.ids, windows.keep, strict=True):
        clean = view.run(ids[None].long(), read=["mlp.0"])
        edit = Set(Site("mlp", 0), value=dictionary.reconstruct(clean["mlp.0"]), keep=~keep[None, :, None])
        run = view.run(ids[None].long(), edits=[edit])
        p, q = (t.logits[0, :-1].log_softmax(-1)[keep[:-1]] for t in (clean, run))
        following = ids[1:].long()[keep[:-1], None]
        whole += (-p.gather(1, following)).flatten().tolist()
        spliced += (-q.gather(1, following)).flatten().tolist()
        kl += (p.exp() * (p - q)).sum(1).tolist()
    assert row(report, "cross-entropy", "model").value == pytest.approx(np.mean(whole))
    assert row(report, "cross-entropy", "spliced").value == pytest.approx(np.mean(spliced))
    assert row(report, "KL", "spliced").value == pytest.approx(np.mean(kl))
    assert report["delta cross-entropy"].value == pytest.approx(np.mean(spliced) - np.mean(whole))


def test_a_transcoder_is_judged_by_what_it_writes() -> None:
    view, windows = model(), text()
    dictionary = random_dictionary("mlp_in.1", 32, writes="mlp.1")
    report = fit(view, windows, dictionary)
    y = values(view, windows, dictionary)
    x = values(view, windows, signed_copy(32, "mlp_in.1"))
    left = (dictionary.reconstruct(x) - y).square().sum() / (y - y.mean(0)).square().sum()
    assert report["FVU"].value == pytest.approx(float(left))


def test_a_skip_counts_as_reconstruction() -> None:
    view, windows = model(), text()
    nothing = constant(torch.zeros(32, dtype=torch.float64))
    skip = ReLU(SITE, **{n: getattr(nothing, n) for n in ("W_enc", "b_enc", "W_dec", "b_dec")}, centred=False,
                W_skip=torch.eye(32, dtype=torch.float64))  # fmt: skip
    report = fit(view, windows, skip)
    assert report["FVU"].value == 0 and row(report, "loss recovered", "mean ablation").value == 1


def test_negative_codes_are_on() -> None:
    atoms = torch.eye(32, dtype=torch.float64)
    itda = ITDA(SITE, atoms=atoms, b_dec=torch.zeros(32, dtype=torch.float64), k=32)
    report = fit(model(), text(), itda)
    assert report["L0"].value == 32 and report["FVU"].value == pytest.approx(0, abs=1e-20)


def test_the_densities_are_a_histogram_of_all_units() -> None:
    view, windows, dictionary = model(), text(), random_dictionary(SITE, 32)
    dictionary.b_enc[:3] = torch.tensor([-1e9, 1e9, -1e9])  # two never fire, one always
    report = fit(view, windows, dictionary)
    on = dictionary.encode(values(view, windows, dictionary)) != 0
    assert report["dead"].value == pytest.approx(0.1) and int((on.sum(0) == 0).sum()) == 2
    assert report["L0"].value == pytest.approx(float(on.sum(1).double().mean()))
    assert sum(r.value for r in report.rows if r.measure == "density") == pytest.approx(0.9)
    assert row(report, "dense", "> 10 % of positions").value == pytest.approx(
        float((on.double().mean(0) > 0.1).double().mean())
    )


def test_outlier_dimensions_are_counted_and_left_out() -> None:
    view, windows = model(), text()
    y = values(view, windows, signed_copy(32))
    large = int(y.abs().mean(0).argmax())
    eye = torch.eye(32, dtype=torch.float64)
    eye[large] *= 100
    stretched = tiny_model("gpt_neox")
    with torch.no_grad():
        for name, p in stretched.body.module.named_parameters():
            if name.endswith(("embed_in.weight",)):
                p[:, large] *= 1000
    only = constant(torch.zeros(32, dtype=torch.float64), "embed")
    only.W_enc[:, :2] = torch.stack([eye[large], -eye[large]]).T / 100
    only.W_dec[:2] = torch.stack([eye[large], -eye[large]]) / 100  # it sees that coordinate and no other
    report = fit(stretched, windows, only)
    assert report["outlier dimensions"].value == 1
    assert report["FVU"].value < 1e-3
    assert row(report, "FVU", "without outlier dimensions").value > 1


@pytest.mark.parametrize("classes", [False, True])
def test_of_what_does_not_vary_nothing_can_be_left_unexplained(classes) -> None:
    windows = text(classes=classes)
    same = replace(windows, flat=torch.full_like(windows.flat, 7))  # every position is embedded alike
    report = fit(model(), same, signed_copy(32, "embed", scale=0.5))
    rows = [r for r in report.rows if r.measure == "FVU"]
    assert len(rows) == 2 + 2 * classes and all(np.isnan(r.value) and not r.interval() for r in rows)
    assert any("it has no variance, so FVU is no number" in note for note in report.notes)
    assert report["uncentred FVU"].value == pytest.approx(0.25)
    assert not any("no variance" in note for note in fit(model(), windows, signed_copy(32, "embed")).notes)


def test_token_classes_share_out_the_unexplained_variance() -> None:
    view, windows, dictionary = model(), text(classes=True), random_dictionary(SITE, 32)
    report = fit(view, windows, dictionary)
    y, mean = values(view, windows, dictionary), values(view, windows, dictionary).mean(0)
    kinds = torch.cat([b.classes[b.keep] for b in windows.batches(4096)])
    for name, i in (("user", 1), ("assistant", 2)):
        here = y[kinds == i]
        wanted = (dictionary.reconstruct(here) - here).square().sum() / (here - mean).square().sum()
        assert row(report, "FVU", f"{name} tokens").value == pytest.approx(float(wanted))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="a dictionary of width 31 cannot sit at resid.0"):
        fit(model(), text(), Identity(SITE, 31))
    last = text()
    last.kept[:] = False
    last.kept[last.lengths.cumsum(0) - 1] = True
    with pytest.raises(ValueError, match="no position that counts has a next token"):
        fit(model(), last, Identity(SITE, 32))
