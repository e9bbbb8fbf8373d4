import shutil

import huggingface_hub
import pytest

from clew.dictionaries import Dictionary, ReLU, TopK
from clew.dictionaries.hub import model_card
from clew.report import Report, Row


@pytest.fixture
def fitted(weights):
    w = weights("b_enc")
    shared = {"model": "HuggingFaceTB/SmolLM2-135M", "steps": 900}
    return [
        TopK("resid.3", k=2, centred=True, loss=0.25, **w, **shared),
        ReLU("mlp_in.3", "mlp.3", centred=False, losses=[0.5] * 200, **w, **shared),
    ]


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub of one repository, which is a folder; returns what was asked of it."""
    asked = []

    def create_repo(repo_id, *, private, exist_ok, token):
        asked.append(("create", repo_id, private, token))
        return f"https://hub/{repo_id}"

    def upload_folder(*, repo_id, folder_path, token, commit_message):
        asked.append(("upload", repo_id, token))
        shutil.copytree(folder_path, tmp_path / repo_id)

    def snapshot_download(repo_id, *, revision, allow_patterns):
        asked.append(("download", repo_id, revision, allow_patterns))
        return str(tmp_path / repo_id)

    for double in (create_repo, upload_folder, snapshot_download):
        monkeypatch.setattr(huggingface_hub, double.__name__, double)
    return asked


def test_the_card_says_what_is_in_each_file_and_how_it_was_trained(fitted):
    card = model_card(fitted)
    assert card.startswith("---\nlibrary_name: clew\n") and "base_model: HuggingFaceTB/SmolLM2-135M\n---" in card
    assert '| `resid.3.safetensors` | resid.3 | resid.3 | topk | 7 | `{"centred": true, "k": 2}` |' in card
    assert "| `mlp_in.3-mlp.3.safetensors` | mlp_in.3 | mlp.3 | relu | 7 |" in card
    assert card.count("- steps: 900") == 1  # shared by both, so told once
    assert "### resid.3.safetensors\n\n- loss: 0.25" in card
    assert "- losses: 1,002 characters, in the header of the file" in card


def test_a_report_is_a_table_with_intervals(fitted):
    row = Row("loss recovered", 0.9512, 0.94, 0.96, of="features", examples=128)
    card = model_card(fitted, Report("Fidelity", (row,), ("mean ablation",)))
    assert "## Fidelity\n\n| measure | nodes | value | 95 % interval | examples |" in card
    assert "| loss recovered features |  | 0.9512 | [0.94, 0.96] | 128 |" in card
    assert card.endswith("- mean ablation\n")


def test_what_is_pushed_comes_back(fitted, hub, x, tmp_path):
    assert Dictionary.push_to_hub(fitted, "me/saes", private=True, token="t") == "https://hub/me/saes"
    assert hub == [("create", "me/saes", True, "t"), ("upload", "me/saes", "t")]
    back = Dictionary.from_pretrained("me/saes", pattern="*.safetensors", revision="v1")
    assert hub[-1] == ("download", "me/saes", "v1", "*.safetensors")
    assert [d.fingerprint for d in back] == [d.fingerprint for d in (fitted[1], fitted[0])]
    card = (tmp_path / "me" / "saes" / "README.md").read_text()
    assert 'clew.Dictionary.from_pretrained("me/saes")' in card


def test_one_dictionary_and_a_site(fitted, hub):
    Dictionary.push_to_hub(fitted[0], "me/one")
    assert str(Dictionary.from_pretrained("me/one", at="resid.5")[0].reads) == "resid.5"


def test_nothing_and_the_same_sites_twice_are_refused_before_anything_is_made(fitted, hub):
    with pytest.raises(ValueError, match="no dictionary to upload"):
        Dictionary.push_to_hub([], "me/saes")
    with pytest.raises(ValueError, match=r"two dictionaries would be resid\.3\.safetensors"):
        Dictionary.push_to_hub([fitted[0], fitted[0]], "me/saes")
    assert hub == []
