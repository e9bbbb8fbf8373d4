import pytest
import torch

from clew.dictionaries import Dictionary, Identity, ReLU


def saved(folder, weights, *sites):
    for site in sites:
        ReLU(site, centred=True, **weights("b_enc")).save(folder / f"{site}.safetensors")
    return folder


def test_a_folder_is_a_list_in_forward_order(tmp_path, weights):
    found = Dictionary.load(saved(tmp_path, weights, "resid.10", "mlp.2", "resid.2", "embed"))
    assert [str(d.writes) for d in found] == ["embed", "mlp.2", "resid.2", "resid.10"]


def test_folders_below_are_opened_when_the_folder_itself_holds_nothing(tmp_path, weights):
    saved(tmp_path / "a" / "b", weights, "mlp.1")
    saved(tmp_path / "c", weights, "mlp.0")
    assert [str(d.writes) for d in Dictionary.load(tmp_path)] == ["mlp.0", "mlp.1"]


def test_at_moves_a_dictionary(tmp_path, weights):
    saved(tmp_path, weights, "resid.3")
    assert str(Dictionary.load(tmp_path, at="resid.4")[0].reads) == "resid.4"
    with pytest.raises(ValueError, match=r"no transcoder, but at is 'mlp_in\.3 -> mlp\.3'"):
        Dictionary.load(tmp_path, at="mlp_in.3 -> mlp.3")


def test_one_at_for_two_dictionaries_is_refused(tmp_path, weights):
    saved(tmp_path, weights, "resid.3", "resid.4")
    with pytest.raises(ValueError, match="holds 2 dictionaries"):
        Dictionary.load(tmp_path, at="resid.3")


def test_a_path_without_a_dictionary_says_what_is_there(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(ValueError, match=r"clew, .*saelens.*found there: notes\.txt"):
        Dictionary.load(tmp_path)
    with pytest.raises(ValueError, match="found there: a file of 7 bytes"):
        Dictionary.load(tmp_path / "notes.txt")
    with pytest.raises(ValueError, match="there is no file or folder"):
        Dictionary.load(tmp_path / "elsewhere")


def test_an_unknown_format_names_those_we_write(tmp_path):
    with pytest.raises(ValueError, match="'sae_lens' is not a format that clew writes; did you mean 'saelens'"):
        Identity("embed", 3).save(tmp_path / "x", format="sae_lens")


def test_a_loaded_dictionary_takes_no_gradient(tmp_path, weights):
    made = Dictionary.load(saved(tmp_path, weights, "resid.3"))[0]
    assert not any(t.requires_grad for t in made.buffers())
    assert isinstance(made.W_enc, torch.Tensor) and made.W_enc.is_contiguous()


def test_an_unknown_name_lists_the_packs_and_the_hub():
    with pytest.raises(ValueError, match=r"no file or folder 'tinymodel' \(here is .*\); (installed packs|no pack)"):
        Dictionary.load("tinymodel")
    with pytest.raises(ValueError, match=r"\); Dictionary\.from_pretrained\('org/name'\) fetches it from the hub$"):
        Dictionary.load("org/name")
    with pytest.raises(ValueError, match=r"\)$"):
        Dictionary.load("a/b/not-a-pack")


def test_a_dictionary_deep_below_is_found(tmp_path, weights):
    saved(tmp_path / "models" / "gemma" / "resid" / "layer_3" / "width_16k", weights, "resid.3")
    assert [str(d.writes) for d in Dictionary.load(tmp_path)] == ["resid.3"]


def test_whatever_goes_wrong_in_a_format_names_the_path(tmp_path, monkeypatch):
    (tmp_path / "cfg.json").write_text("{}")
    (tmp_path / "sae.safetensors").write_bytes(b"")
    for error in (KeyError("k"), RuntimeError("half"), RecursionError("deep"), MemoryError(), OverflowError("large")):

        def raises(path, at, error=error):
            raise error

        monkeypatch.setattr("clew.dictionaries.formats.sparsify.read", raises)
        with pytest.raises(ValueError, match=f"{tmp_path.name} could not be opened as a sparsify dictionary"):
            Dictionary.load(tmp_path)
