"""Bad input: each case says what was given, what is allowed or what to do next, and loses nothing."""

import errno
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import clew
from clew import Behaviour, Circuit, Dictionary, EditDidNotFire, Pair, Scale, Set, Site, Where
from clew.circuits.circuit import ERROR
from clew.data.behaviours.metrics import kl_divergence, logit_difference
from clew.dictionaries import TopK
from clew.methods.nodes.attribution_patching import attribution_patching
from clew.readings.store import record
from tests.models.tiny import word_tokenizer
from tests.planted import random_behaviour, random_dictionary, tiny_model

MODEL = tiny_model("llama")
LENS = MODEL.through(random_dictionary("resid.0", 32), random_dictionary("resid.1", 32))
TASK = random_behaviour()


def behaviour(*pairs: tuple) -> Behaviour:
    return Behaviour("mine", tuple(Pair(*p) for p in pairs))


def nan_model() -> object:
    module = tiny_model("gpt2").body.module
    with torch.no_grad():
        module.transformer.h[1].mlp.c_fc.weight[0, 0] = float("nan")
    return clew.open(module)


def nan_dictionary() -> object:
    bad = random_dictionary("resid.0", 32)
    bad.W_enc[0, 0] = float("inf")
    return MODEL.through(bad)


def far_node() -> object:
    circuit = attribution_patching(LENS, TASK).top(3)
    circuit.position[0] = 99
    return clew.verify(LENS, TASK, circuit, held_out=False)


def words(*pairs: tuple) -> object:
    return list(behaviour(*pairs).batches(clew.open(MODEL.body.module, tokenizer=word_tokenizer())))


CASES: dict[str, tuple[type[Exception], str, Callable[[], object]]] = {
    "misspelt site": (ValueError, "'resdi' is not a part of a model; did you mean 'resid'", lambda: MODEL.run(torch.ones(1, 3, dtype=torch.long), read=["resdi.1"])),
    "layer too high": (ValueError, "'resid.7' is not a site of llama .3 layers: resid.0 to resid.2", lambda: MODEL.neurons("resid.7")),
    "site without layer": (ValueError, "needs a layer, as in 'mlp.3'", lambda: Site.parse("mlp")),
    "lengths differ": (ValueError, "differ in length.*2 tokens.*3", lambda: words(("the nurse", "the nurse said", ("said",), ("was",)))),
    "prompts equal": (ValueError, "clean and patch prompt are equal", lambda: words(("the nurse", "the nurse", ("said",), ("was",)))),
    "multi-token answer": (ValueError, "an answer is not one token", lambda: words(("the nurse", "the doctor", (" said that",), (" was",)))),
    "no patch answers": (ValueError, "no patch answers.*answer_logit", lambda: Behaviour("mine", (Pair("a", None, ("b",)),), logit_difference)),
    "unknown behaviour": (ValueError, "did you mean 'agreement'", lambda: Behaviour.load("agrement/simple")),
    "unknown variant": (ValueError, "has agreement/simple", lambda: Behaviour.load("agreement/simpel")),
    "unknown method": (ValueError, "did you mean 'attribution_patching'", lambda: clew.find(LENS, TASK, by="atribution_patching")),
    "unknown option": (ValueError, "has no option 'step'; it takes steps", lambda: clew.find(LENS, TASK, by="integrated_gradients", step=3)),
    "unknown measure": (ValueError, "did you mean 'faithfulness'", lambda: clew.verify(LENS, TASK, attribution_patching(LENS, TASK), by="faithfullness")),
    "no steps": (ValueError, "at least one point", lambda: clew.find(LENS, TASK, by="integrated_gradients", steps=0)),
    "wrong width": (ValueError, "width 16 cannot sit at resid.0, which is 32 wide", lambda: MODEL.through(random_dictionary("resid.0", 16))),
    "two at one site": (ValueError, "two dictionaries write resid.0", lambda: MODEL.through(*[random_dictionary("resid.0", 32)] * 2)),
    "k too large": (ValueError, "k is 9, but .* has 4 units", lambda: TopK("resid.0", k=9, W_enc=torch.ones(2, 4), W_dec=torch.ones(4, 2), b_dec=torch.ones(2), centred=True)),
    "NaN in weights": (ValueError, "not finite numbers .NaN or inf., first in 'transformer.h.1.mlp.c_fc.weight'", nan_model),
    "inf in a dictionary": (ValueError, "dictionary at resid.0 holds values that are not finite", nan_dictionary),
    "edit never fires": (EditDidNotFire, "never fired: scale at resid.1.*have 2 tokens", lambda: MODEL.run(torch.tensor([[3, 4]]), edits=[Scale(Site("resid", 1), factor=0.0, where=Where("token", (9,)))])),
    "unit without view": (ValueError, "use model.through", lambda: MODEL.edited(Scale(Site("resid", 1), factor=0.0, basis="code", units=(3,)))),
    "unit too high": (ValueError, "names unit 99 at resid.1, which has 20 units", lambda: LENS.edited(Scale(Site("resid", 1), factor=0.0, basis="code", units=(99,)))),
    "node beyond the prompt": (ValueError, "prompts of 4 tokens, up to 99, but these have 4; keep that length", far_node),
    "circuit of another view": (ValueError, "open it through the dictionaries in which the circuit was found", lambda: clew.verify(MODEL.through(random_dictionary("resid.0", 32, TopK), random_dictionary("resid.1", 32, TopK)), TASK, clew.find(LENS, TASK), held_out=False)),
    "circuit of other sites": (ValueError, "nodes at resid.1, where 20 units stood, but the model is not seen there", lambda: clew.verify(MODEL.through(random_dictionary("resid.0", 32)), TASK, clew.find(LENS, TASK), held_out=False)),
    "padding on the right": (ValueError, "padding must be on the left", lambda: MODEL.run(torch.ones(1, 3, dtype=torch.long), real=torch.tensor([[True, True, False]]))),
    "a value that does not fit": (ValueError, "value of shape .5,. does not fit the set at resid.1, where .1, 3, 32. flows", lambda: MODEL.run(torch.ones(1, 3, dtype=torch.long), edits=[Set(Site("resid", 1), value=torch.ones(5))])),
    "another module's dtype": (ValueError, "clew does not change it", lambda: clew.open(tiny_model("llama").body.module, dtype=torch.float32)),
    "a base of another model": (ValueError, "recorded with another model", lambda: MODEL.run(torch.ones(1, 3, dtype=torch.long), edits=[Scale(Site("resid", 1), factor=0.0)], base=tiny_model("llama", seed=3).run(torch.ones(1, 3, dtype=torch.long), record=True))),
    "nothing to resample from": (ValueError, "no other prompt of 4 tokens", lambda: attribution_patching(LENS, random_behaviour(n=1), baseline="resample")),
    "KL at the clean run": (ValueError, "its gradient there is 0", lambda: attribution_patching(LENS, TASK.with_metric(kl_divergence))),
    "edges of a method without gradients": (ValueError, "has no gradients to weigh edges with", lambda: clew.find(LENS, TASK, attribution_patching(LENS, TASK).top(9), by="edges", gradient="exact_patching")),
    "empty prompt": (ValueError, "there is nothing to run", lambda: clew.open(MODEL.body.module, tokenizer=word_tokenizer()).run([])),
    "no such model": (ValueError, "smollm2-135m", lambda: clew.open("./smollm")),
    "no text": (ValueError, "nothing to record", lambda: record(clew.open(MODEL.body.module, tokenizer=word_tokenizer()), [], sites=["resid.1"], to="unused")),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_message_says_what_to_do(case: str) -> None:
    kind, message, call = CASES[case]
    with pytest.raises(kind, match=f"(?s){message}"):
        call()


def test_positions_of_prompts_of_two_lengths() -> None:
    pairs = (*TASK.pairs, Pair((3, 4), (3, 5), (6,), (7,)))
    with pytest.raises(ValueError, match=r"prompts of \[2, 4\] tokens.*of_length.*positions=False"):
        attribution_patching(LENS, Behaviour("two", pairs, aligned=True), positions=True)


def test_a_truncated_dictionary(tmp_path: Path) -> None:
    path = random_dictionary("resid.0", 32).save(tmp_path / "resid.0.safetensors")
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match=r"resid\.0\.safetensors"):
        Dictionary.load(path)


def test_a_dictionary_that_lacks_a_tensor(tmp_path: Path) -> None:
    save_file({"W_enc": torch.ones(2, 3)}, tmp_path / "sae_weights.safetensors")
    (tmp_path / "cfg.json").write_text('{"architecture": "standard", "d_in": 2, "d_sae": 3, "metadata": {}}')
    with pytest.raises(ValueError, match="W_dec|b_enc|b_dec"):
        Dictionary.load(tmp_path, at="resid.0")


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "exploded",))

    (tmp_path / "ae.pt").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match=r"ae\.pt"):
        Dictionary.load(tmp_path / "ae.pt", at="resid.0")
    assert not (tmp_path / "exploded").exists()


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    circuit = attribution_patching(LENS, TASK).top(5)
    path = circuit.save(tmp_path / "circuit.json")
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="circuit.json was not written .No space left on device.; what stood there"):
        attribution_patching(LENS, TASK).save(path)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["circuit.json"]


def test_half_a_circuit_file(tmp_path: Path) -> None:
    path = attribution_patching(LENS, TASK).save(tmp_path / "circuit.json")
    path.write_text(path.read_text()[:200])
    with pytest.raises(ValueError, match=r"circuit\.json is not JSON"):
        Circuit.load(path)


def test_an_interrupted_sweep_leaves_the_model_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    before = LENS.run(TASK.pairs and torch.tensor([TASK.pairs[0].clean])).logits
    calls = iter(range(100))

    def interrupted(trace: object, batch: object) -> object:
        if next(calls) == 3:
            raise KeyboardInterrupt
        return logit_difference(trace, batch)

    with pytest.raises(KeyboardInterrupt):
        clew.find(LENS, TASK.with_metric(interrupted), by="integrated_gradients", tokens=24, held_out=False)
    assert not any(
        m._forward_hooks or m._forward_pre_hooks or "forward" in m.__dict__ for m in LENS.body.module.modules()
    )
    assert torch.equal(LENS.run(torch.tensor([TASK.pairs[0].clean])).logits, before)


def test_an_error_node_has_no_mean() -> None:
    circuit = attribution_patching(LENS, TASK)
    with pytest.raises(ValueError, match="an error node has no mean"):
        circuit.keep(circuit.unit == ERROR).mean()


def test_an_unknown_label() -> None:
    circuit = attribution_patching(LENS, TASK).top(3)
    circuit = circuit.labelled({circuit.nodes[0].address: "plural nouns"})
    with pytest.raises(KeyError, match="no node of this circuit has the label or address 'plural noun'"):
        circuit["plural noun"]


def test_a_store_of_another_text(tmp_path: Path) -> None:
    model = clew.open(MODEL.body.module, tokenizer=word_tokenizer())
    record(model, ["the nurse said"], sites=["resid.1"], to=tmp_path)
    with pytest.raises(ValueError, match="holds another recording.*choose another folder"):
        record(model, ["the king was"], sites=["resid.1"], to=tmp_path)
