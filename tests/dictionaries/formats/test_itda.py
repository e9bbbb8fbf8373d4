import pytest
import torch

from clew.dictionaries import ITDA, Dictionary


def run(folder, atoms, **metadata):
    torch.save(atoms, folder / "atoms.pt")
    torch.save(torch.tensor([[0, 5], [3, 1]]), folder / "atom_indices.pt")
    lines = {"wandb_name": "ITDA", "layer": 3, "lm_name": "gpt2", "k": 2, "submodule_name": "null"} | metadata
    (folder / "metadata.yaml").write_text("".join(f"{key}: {value}\n" for key, value in lines.items()))
    return folder


def test_two_rounds_by_hand_and_nothing_is_taken_off_first(tmp_path):
    atoms = torch.tensor([[1.0, 0.0], [0.6, 0.8]], dtype=torch.float64)
    (made,) = Dictionary.load(run(tmp_path, atoms, loss_threshold="1.0e-3"))
    assert isinstance(made, ITDA) and (str(made.reads), made.k) == ("resid.3", 2)
    found = made.encode(torch.tensor([0.0, 2.0], dtype=torch.float64))
    torch.testing.assert_close(found, torch.tensor([-0.96, 1.6], dtype=torch.float64))
    assert made.meta["origins"] == [[0, 5], [3, 1]]
    assert made.meta["config"]["loss_threshold"] == 0.001 and made.meta["config"]["submodule_name"] is None


def test_a_named_module_wins_over_the_layer(tmp_path):
    assert str(Dictionary.load(run(tmp_path, torch.eye(2), submodule_name="model.layers.1.mlp"))[0].reads) == "mlp.1"
    assert str(Dictionary.load(tmp_path, at="attn.2")[0].reads) == "attn.2"


def test_spoilt_runs(tmp_path):
    with pytest.raises(ValueError, match="lengths from 2 to 2"):
        Dictionary.load(run(tmp_path, 2 * torch.eye(2)))
    with pytest.raises(ValueError, match=r"atoms in atoms\.pt is a dict; a tensor is due"):
        Dictionary.load(run(tmp_path, {"atoms": torch.eye(2)}))
    (tmp_path / "metadata.yaml").write_text("layer: 3\nk:\n  nested: 2\n")
    with pytest.raises(ValueError, match=r"metadata\.yaml has no 'k'; it holds layer"):
        Dictionary.load(tmp_path)
    (tmp_path / "metadata.yaml").unlink()
    with pytest.raises(ValueError, match=r"no metadata\.yaml beside it"):
        Dictionary.load(tmp_path)


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"k": "2.5"}, r"metadata\.yaml: k is 2\.5; a whole number is due"),
        ({"k": 10**12}, r"atoms\.pt holds no ITDA dictionary: k is 1000000000000"),
        ({"layer": "three"}, r"metadata\.yaml: layer is 'three'; a whole number is due"),
        ({"layers": 3, "layer": "3\nlayer: 4"}, r"metadata\.yaml, line 4 gives 'layer' a second time|second time"),
        ({"note": "x\nno key here"}, r"metadata\.yaml, line \d is 'no key here'; 'key: value' is due"),
    ],
)
def test_settings_are_typed(tmp_path, metadata, said):
    with pytest.raises(ValueError, match=said):
        Dictionary.load(run(tmp_path, torch.eye(2), **metadata))


def test_origins_are_two_counts_a_unit(tmp_path):
    run(tmp_path, torch.eye(2))
    for odd in (torch.ones(3, 2, dtype=torch.int64), torch.ones(2, 2), -torch.ones(2, 2, dtype=torch.int64)):
        torch.save(odd, tmp_path / "atom_indices.pt")
        with pytest.raises(ValueError, match=r"atom_indices\.pt is torch\..*; counts from 0 on, \[2, 2\], are due"):
            Dictionary.load(tmp_path)
