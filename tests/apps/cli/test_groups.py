"""Groups of options: how a model is opened, how it is seen, and what is asked of a behaviour."""

import pytest

import clew
from clew.apps.cli._groups import Asked, Machine, View
from tests.apps.cli.toys import typed
from tests.models.tiny import model_of, module_of, relu_dictionary


def test_three_ways_to_see_a_model_are_not_mixed(toys):
    with pytest.raises(ValueError, match="give one of them"):
        View(neurons=("resid.0",), heads=True).open("tiny")


def test_dtype_reaches_the_model(toys, monkeypatch):
    monkeypatch.setattr(clew, "open", lambda name, **options: options, raising=False)
    assert Machine("float64", "cpu").open("tiny") == {"dtype": "float64", "device": "cpu"}


def test_how_a_model_is_loaded_reaches_it(toys, monkeypatch):
    monkeypatch.setattr(clew, "open", lambda name, **options: options, raising=False)
    said = ("quant_method=bitsandbytes", "load_in_8bit=true", "bits=4")
    opened = Machine(revision="step3", quantization_config=said, device_map="auto").open("owner/tiny")
    eight = {"quant_method": "bitsandbytes", "load_in_8bit": True, "bits": 4}
    rest = {"dtype": None, "device": None}
    assert opened == {"revision": "step3", "quantization_config": eight, "device_map": "auto"} | rest
    with pytest.raises(ValueError, match="--quantization-config '8' says not what is what; write quant_method=NAME"):
        Machine(quantization_config=("8",)).open("tiny")


@pytest.mark.parametrize(
    ("options", "words"), [("--dtype int8", "'int8' is not a dtype that clew"), ("--device gpu", "use cpu, cuda")]
)
def test_what_a_machine_cannot_do_is_said(options, words, tmp_path, capsys):
    module_of().save_pretrained(tmp_path)
    assert typed(f"check {tmp_path} {options}") == 1
    assert words in " ".join(capsys.readouterr().err.split())


def test_columns_and_numbers_of_examples_are_checked():
    for asked, said in (
        (Asked(examples=0), "--examples is 0"),
        (Asked(columns=("clean",)), "says not which column is what"),
    ):
        with pytest.raises(ValueError, match=said):
            asked.behaviour("nothing", None)


def test_columns_of_a_table_of_ones_own_are_named(tmp_path):
    path = tmp_path / "own.jsonl"
    path.write_text('{"ask": "the nurse said", "say": " that"}\n' * 2)
    asked = Asked(columns=("clean=ask", "answers=say"), all_pairs=True)
    assert asked.behaviour(str(path), model_of()).pairs[0].clean == "the nurse said"
    assert asked.typed()[0] == "--columns clean=ask answers=say"


def test_layers_choose_among_the_dictionaries(place, tmp_path):
    saes = tmp_path / "saes"
    for layer in range(3):
        relu_dictionary(model_of("llama"), f"resid.{layer}").save(saes / f"{layer}.safetensors")
    seen = View(through=(saes,), layers=(0, 2))
    assert [str(site) for site in seen.open("llama").dictionaries] == ["resid.0", "resid.2"]
    assert seen.typed() == [f"--through {saes}", "--layers 0 2"]
    with pytest.raises(ValueError, match=r"--layers 7: there is no dictionary; those of --through are at 0, 1, 2"):
        View(through=(saes,), layers=(7,)).open("llama")
    with pytest.raises(ValueError, match="--layers chooses among the dictionaries of --through"):
        View(layers=(7,)).open("llama")
