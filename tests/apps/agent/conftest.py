"""A folder with a tiny model of its own, a behaviour, a dictionary and a text; and a client that speaks to it."""

import json
from pathlib import Path

import pytest

from clew.apps._desk.desk import Desk
from tests.models.tiny import model_of, module_of, relu_dictionary, word_tokenizer

PEOPLE = [
    ("nurse", "king"),
    ("queen", "man"),
    ("woman", "doctor"),
    ("queen", "king"),
    ("nurse", "man"),
    ("woman", "man"),
]
TEXT = (
    "the nurse said that she was not very good .\n\nthe old man and the king .\n\nthe queen said that he was in red .\n"
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    module_of().save_pretrained(tmp_path / "tiny")
    word_tokenizer().save_pretrained(tmp_path / "tiny")
    relu_dictionary(model_of(), "resid.1").save(tmp_path / "d.safetensors")
    columns = ("clean_prefix", "patch_prefix", "clean_answer", "patch_answer")
    rows = [
        dict(zip(columns, (f"the {a} {word} that", f"the {b} {word} that", " he", " she"), strict=True))
        for a, b in PEOPLE
        for word in ("said", "was")
    ]
    (tmp_path / "task.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "text.txt").write_text(TEXT * 4)
    return tmp_path


@pytest.fixture
def desk(root: Path):
    found = Desk.at(root)
    yield found
    found.close()
