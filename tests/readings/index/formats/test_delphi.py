"""delphi's cache: one made by its layout is read, ours is such a one and comes back."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from clew.labels import Label
from clew.readings.index.taken import taken
from clew.report import Row
from tests.readings.index.planted import indexed, model, signed_dictionary, words_dictionary

TOKENS = torch.tensor([[5, 6, 7, 8], [8, 7, 6, 5]])
FIRES = [(0, 1, 0, 2.0), (0, 3, 1, 0.5), (1, 0, 3, -1.5), (1, 1, 0, 4.0), (1, 2, 2, 0.25)]


def cache(folder: Path, name: str = "layers.3.mlp", splits: tuple[tuple[int, int], ...] = ((0, 1), (2, 3))) -> Path:
    """A cache as delphi writes it: the files of a hookpoint hold a range of latents each, last included."""
    place = folder / "latents" / name
    place.mkdir(parents=True)
    for first, last in splits:
        some = [f for f in FIRES if first <= f[2] <= last]
        where = torch.tensor([(row, at, unit - first) for row, at, unit, _ in some], dtype=torch.int32).to(torch.uint16)
        held = {"locations": where, "activations": torch.tensor([f[3] for f in some], dtype=torch.float16)}
        save_file({**held, "tokens": TOKENS}, place / f"{first}_{last}.safetensors")
    config = {"dataset_repo": "x/y", "dataset_split": "train[:1%]", "batch_size": 32, "cache_ctx_len": 4}
    (place / "config.json").write_text(json.dumps({**config, "n_tokens": 8, "n_splits": 2, "model_name": "gpt2"}))
    return folder


def test_a_cache_by_their_layout_is_read(tmp_path: Path) -> None:
    index = taken(cache(tmp_path / "theirs"), to=tmp_path / "ours", tokenizer=model().tokenizer)
    assert [str(site) for site in index.sites] == ["mlp.3"] and index.units("mlp.3") == 4
    assert index.tokens.tolist() == TOKENS.flatten().tolist() and index.tokenizer_name == "gpt2"
    assert index.row("mlp.3", 0).place.tolist() == [5, 1] and index.row("mlp.3", 0).value.tolist() == [4.0, 2.0]
    assert index.row("mlp.3", 3).value.tolist() == [-1.5] and index.summary("mlp.3").negative.tolist() == [0, 0, 0, 1]
    assert index.at("mlp.3", 5).unit.tolist() == [0] and index.nearest("mlp.3", 0, "cofiring") == []
    assert index.top("mlp.3", 0, 1)[0].words[1].strip() == model().tokenizer.decode([7])
    with pytest.raises(ValueError, match="does not say which units of mlp.3 are near by decoder"):
        index.nearest("mlp.3", 0)


def test_ours_is_one_by_their_layout_and_comes_back(tmp_path: Path) -> None:
    index = indexed(tmp_path / "index", signed_dictionary())
    folder = index.export(tmp_path / "delphi", format="delphi") / "latents" / "layers.1"
    names = sorted(path.name for path in folder.glob("*.safetensors"))
    assert names == [
        "0_7.safetensors",
        "16_23.safetensors",
        "24_31.safetensors",
        "32_39.safetensors",
        "8_15.safetensors",
    ]
    total = 0
    for name in names:
        held, (first, last) = load_file(folder / name), map(int, name.partition(".")[0].split("_"))
        assert held.keys() == {"locations", "activations", "tokens"}
        assert held["locations"].dtype == torch.uint16 and held["locations"].shape == (len(held["activations"]), 3)
        assert held["activations"].dtype == torch.float16 and held["tokens"].dtype == torch.int64
        where = held["locations"].int()
        assert (where[:, 2] <= last - first).all() and (held["activations"].abs() > 1e-5).all()
        total += len(where)
    assert total == index.summary("resid.1").count.sum()
    assert json.loads((folder / "config.json").read_text())["n_splits"] == 5
    back = taken(tmp_path / "delphi", to=tmp_path / "back")
    assert back.tokens.tolist() == index.tokens.tolist() and back.text.windows.tolist() == index.text.windows.tolist()
    for unit in range(40):
        assert back.row("resid.1", unit).place.tolist() == index.row("resid.1", unit).place.tolist()
        assert back.row("resid.1", unit).value.tolist() == index.row("resid.1", unit).value.tolist()


def results(folder: Path, **change: object) -> Path:
    """A cache with what delphi has said of a latent, and how it has scored that."""
    cache(folder)
    name = "layers.3.mlp_latent0.txt"
    asked = [(True, True, 0.9, 2), (True, False, 0.4, 9), (False, False, 0.2, -1), (False, None, None, -1)]
    chosen = [
        {"str_tokens": ["a"], "activations": [1.0], "distance": d, "activating": a, "prediction": p, "probability": s,
         "correct": None if p is None else p == a} for a, p, s, d in asked
    ]  # fmt: skip
    alike = [{"text": "a b", "distance": d, "similarity": s} for d, s in ((0, 0.8), (4, 0.3), (-0.5, 0.5), (-0.2, 0.1))]
    losses = [(1, [2.0, 2.0], [1.0, 1.5]), (-1, [2.0], [2.5])]
    surprised = [
        {"text": "a", "distance": d, "no_explanation": n, "explanation": e, "activations": [0.0]} for d, n, e in losses
    ]
    given = {"fuzz": chosen, "detection": chosen, "embedding": alike, "surprisal": surprised, "simulation": [{"x": 1}]}
    held = {f"scores/{scorer}/{name}": value for scorer, value in given.items()}
    held |= {f"explanations/{name}": "words for kings", "run_config.json": {"explainer_model": "llama"}}
    for path, value in {**held, **change}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(json.dumps(value))
    return folder


def test_explanations_come_with_their_scores(tmp_path: Path) -> None:
    index = taken(results(tmp_path / "theirs"), to=tmp_path / "ours")
    ((address, (label,)),) = index.labels.all().items()
    assert (address, label.text, label.kind, label.origin) == ("mlp.3/0", "words for kings", "prose", "delphi, llama")
    scores = {row.measure: (row.value, row.examples) for row in label.scores}
    assert scores == {
        "detection accuracy": (0.75, 3), "detection AUROC": (1.0, 3), "fuzzing accuracy": (0.75, 3),
        "fuzzing AUROC": (1.0, 3), "embedding AUROC": (0.75, 4), "surprisal AUROC": (1.0, 2),
    }  # fmt: skip


def test_labels_are_explanations_there_and_come_back_with_their_scores(tmp_path: Path) -> None:
    index = indexed(tmp_path / "index", signed_dictionary(), words_dictionary())
    scores = (
        Row("detection AUROC", 0.9, 0.8, 1.0, "all", examples=40),
        Row("detection AUROC", 0.3, 0.2, 0.4, "above shuffled"),
    )
    for address in ("resid.1/3", "embed/2"):
        index.labels.add(address, Label("plural nouns – or “kings”", "rule", scores, "rules"))
    folder = index.export(tmp_path / "delphi", format="delphi", sites=["resid.1"])
    (file,) = (folder / "explanations").iterdir()
    assert file.name == "layers.1_latent3.txt" and json.loads(file.read_bytes()) == "plural nouns – or “kings”"
    back = taken(folder, to=tmp_path / "back")
    assert dict(back.labels.all()) == {"resid.1/3": index.labels.of("resid.1/3")}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"explanations/layers.3.mlp_latent4.txt": "x"},
            "latent4.txt speaks of 'mlp.3/4', and the cache has no such unit",
        ),
        ({"explanations/layers.4.mlp_latent0.txt": "x"}, r"is of no hookpoint of this cache \(layers.3.mlp\)"),
        ({"explanations/layers.3.mlp_latent0.txt": ["x"]}, "latent0.txt is .*; text is due there"),
        ({"scores/fuzz/layers.3.mlp_latent0.txt": {"a": 1}}, "fuzz/layers.3.mlp_latent0.txt is .*; a list is due"),
        ({"scores/fuzz/layers.3.mlp_latent0.txt": [{}]}, r"latent0.txt\[0\].*'activating'"),
        ({"scores/embedding/layers.3.mlp_latent0.txt": [{"distance": 1, "similarity": "a"}]}, "similarity is 'a'"),
        ({"scores/surprisal/layers.3.mlp_latent0.txt": [{"distance": 1, "no_explanation": []}]}, "holds no loss"),
    ],
)
def test_explanations_that_are_damaged_are_named(tmp_path: Path, change: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        taken(results(tmp_path / "theirs", **change), to=tmp_path / "ours")


def test_sites_without_a_name_there_keep_ours(tmp_path: Path) -> None:
    index = indexed(tmp_path / "index", words_dictionary())
    index.export(tmp_path / "delphi", format="delphi")
    assert (tmp_path / "delphi" / "latents" / "embed").is_dir()
    assert taken(tmp_path / "delphi", to=tmp_path / "back").sites == index.sites


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"locations": torch.tensor([[2, 0, 0]])}, "locations in .*0_1.safetensors are beyond its 2 rows of 4"),
        ({"locations": torch.tensor([[0, 0, 2]])}, "are beyond"),
        ({"locations": torch.tensor([[0, 0]])}, "whole numbers .firing, 3. are due"),
        ({"activations": torch.tensor([np.nan])}, "activations in .*0_1.safetensors are no finite numbers"),
        ({"tokens": torch.tensor([[1, 2, 3, 4], [4, 3, 2, 1]])}, "tokens in .*2_3.safetensors are others"),
        ({"locations": torch.tensor([[0, 0, 1]] * 2), "activations": torch.ones(2)}, "a unit fires twice at one token"),
    ],
)
def test_a_cache_that_is_damaged_is_named(tmp_path: Path, change: dict, says: str) -> None:
    path = cache(tmp_path / "theirs") / "latents" / "layers.3.mlp" / "0_1.safetensors"
    whole = {"locations": torch.tensor([[0, 0, 0]]), "activations": torch.ones(1), "tokens": TOKENS}
    save_file({**whole, **change}, path)
    with pytest.raises(ValueError, match=says):
        taken(tmp_path / "theirs", to=tmp_path / "ours")


def test_a_split_that_is_missing_is_seen(tmp_path: Path) -> None:
    (cache(tmp_path / "theirs") / "latents" / "layers.3.mlp" / "0_1.safetensors").unlink()
    with pytest.raises(ValueError, match="2_3.safetensors: its first unit"):
        taken(tmp_path / "theirs", to=tmp_path / "ours")
