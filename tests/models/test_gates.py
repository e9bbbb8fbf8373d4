"""Gates: where they open, over padding, caches and layers, and that a shut one leaves every bit."""

from functools import cache

import pytest
import torch

from clew.changes import ActivationEdit, Add, Clamp, Gate, Scale, Set
from clew.models import EditDidNotFire, Model
from clew.probing import Pool, Probe
from clew.sites import EVERY, PROMPT, RESPONSE, Site, Where
from clew.stack import Stack
from tests.models.tiny import model_of, prompts, relu_dictionary

R1, F64 = Site("resid", 1), torch.float64
PROMPTS = ["the nurse said that", "the old king", "a very good woman said"]
FAMILIES = ["llama", "gpt2", "gemma3_text", "gpt_neox", "falcon"]
FIRST = torch.eye(32)[0]
"""A direction that reads coordinate 0."""


@cache
def quiet(family: str = "llama", dtype: torch.dtype = torch.float32) -> Model:
    model = model_of(family, dtype)
    model.body.module.generation_config.eos_token_id = None
    return model


def seen(family: str = "llama", site: str = "resid.1", writes: str | None = None) -> Model:
    model = quiet(family, F64)
    return model.through(relu_dictionary(model, site, writes, dtype=F64))


def shift(gate: Gate | None, at: str = "resid.1", where: Where = EVERY) -> Add:
    return Add(at, vector=torch.linspace(-4, 4, 32), gate=gate, where=where)


@cache
def middle(model: Model, site: str = "resid.1") -> float:
    """A threshold that about half of the positions pass, and none nearly."""
    tokens, real = model.tokens(PROMPTS)
    score = model.run(tokens, real=real, read=[site], logits=0)[site][real][:, 0].sort().values
    return float(score[len(score) // 2 :][:2].mean())


def by_hand(model: Model, prompt: str, steps: int) -> list[int]:
    """Greedy decoding by whole runs, told where the prompt ends."""
    tokens, _ = model.tokens(prompt)
    end = tokens.shape[1]
    for _ in range(steps):
        tokens = torch.cat([tokens, model.run(tokens, prompt=end, logits=1).logits[:, -1:].argmax(-1)], dim=1)
    return tokens[0].tolist()


# Where it opens.


@pytest.mark.parametrize("reach", ["token", "prompt"])
def test_the_open_positions_by_hand(reach):
    model = quiet()
    clean = model.run(prompts(4), read=["resid.1"])["resid.1"]
    above = float(clean[..., 0].flatten().kthvalue(26)[0])  # three of 28 positions are above
    opened = clean[..., 0] > above
    opened = opened if reach == "token" else opened.any(1, keepdim=True).expand_as(opened)
    trace = model.run(prompts(4), read=["resid.1"], edits=[shift(Gate(Probe(R1, FIRST), above=above, reach=reach))])
    assert torch.equal((trace["resid.1"] != clean).any(-1), opened) and 0 < opened.sum() < 28
    receipt = trace.receipts[0]
    assert (receipt.reached, receipt.fired, receipt.changed) == (28, int(opened.sum()), int(opened.sum()))


def test_a_gate_on_a_unit_reads_its_code():
    view = seen()
    code = view.run(prompts(), read=["resid.1"]).code("resid.1")
    unit = int((code > 0).double().mean((0, 1)).sub(0.5).abs().argmin())
    receipt = view.run(prompts(), edits=[shift(Gate(unit=unit))]).receipts[0]
    assert receipt.fired == int((code[..., unit] > 0).sum()) and 0 < receipt.fired < receipt.reached


def test_a_gate_on_a_unit_of_a_transcoder_reads_what_the_transcoder_reads():
    view = seen(site="mlp_in.1", writes="mlp.1")
    code = view.run(prompts(), read=["mlp_in.1", "mlp.1"], logits=0).code("mlp.1")
    unit = int((code > 0).double().mean((0, 1)).sub(0.5).abs().argmin())
    receipt = view.run(prompts(), edits=[shift(Gate(unit=unit), at="mlp.1")]).receipts[0]
    assert receipt.fired == int((code[..., unit] > 0).sum()) and 0 < receipt.fired < receipt.reached


def test_the_bias_shifts_the_threshold():
    model = quiet()
    above = middle(model)
    one, other = shift(Gate(Probe(R1, FIRST), above=above)), shift(Gate(Probe(R1, FIRST, -above)))
    assert torch.equal(model.run(prompts(), edits=[one]).logits, model.run(prompts(), edits=[other]).logits)


def test_a_gate_only_narrows_what_where_means():
    model = quiet()
    always = Gate(Probe(R1, FIRST), above=-1e9)
    clean, last = model.run(prompts(), read=["resid.1"])["resid.1"], shift(always, where=Where.at(-1))
    moved = (model.run(prompts(), read=["resid.1"], edits=[last])["resid.1"] != clean).any(-1)
    assert moved.nonzero().tolist() == [[0, 6], [1, 6]]


def test_a_row_is_opened_by_a_position_that_where_leaves_out():
    model = quiet()
    x = model.run(prompts(), read=["resid.1"])["resid.1"][..., 0]
    row, column = divmod(int(x[:, :-1].argmax()), 6)  # one early position of one row opens it
    gate = Gate(Probe(R1, FIRST), above=float(x[row, column]) - 1e-5, reach="prompt")
    assert (x > gate.above).nonzero().tolist() == [[row, column]]
    receipt = model.run(prompts(), edits=[shift(gate, where=Where.at(-1))]).receipts[0]
    assert (receipt.reached, receipt.fired) == (2, 1)


def test_an_always_open_gate_is_no_gate():
    for reach in ("token", "prompt"):
        for verb in (
            lambda g: shift(g),
            lambda g: Scale(R1, factor=0.5, gate=g),
            lambda g: Clamp(R1, high=0.1, gate=g),
        ):
            model, gate = quiet(), Gate(Probe(R1, FIRST), above=-1e9, reach=reach)
            with_gate, without = (model.run(prompts(), edits=[verb(g)]) for g in (gate, None))
            assert torch.equal(with_gate.logits, without.logits)


# A shut gate.


@pytest.mark.parametrize("basis", ["value", "code", "error"])
@pytest.mark.parametrize("reach", ["token", "prompt"])
def test_a_shut_gate_keeps_every_bit_and_is_no_error(basis, reach):
    view = seen()
    edit = Set(R1, value=9.0, basis=basis, gate=Gate(Probe(R1, FIRST), above=1e9, reach=reach))
    trace = view.run(prompts(), edits=[edit])
    assert torch.equal(trace.logits, view.run(prompts()).logits)
    assert (trace.receipts[0].fired, trace.receipts[0].changed, trace.receipts[0].reached) == (0, 0, 14)
    assert str(trace.receipts[0]) == "set at resid.1: 0 of 14 positions in 1 calls, 0 changed"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rows_whose_gate_is_shut_keep_every_bit_beside_rows_whose_gate_is_open(dtype):
    model = quiet("llama", dtype)
    clean = model.run(prompts(4), read=["resid.1"])
    tops = clean["resid.1"][..., 0].amax(1).float()
    gate = Gate(Probe(R1, FIRST), above=float(tops.sort().values[1:3].mean()), reach="prompt")
    edited = model.run(prompts(4), edits=[shift(gate)])
    same = (edited.logits == clean.logits).flatten(1).all(1)
    assert torch.equal(same, tops <= gate.above) and 0 < same.sum() < 4


def test_nowhere_to_be_in_force_is_still_an_error():
    with pytest.raises(EditDidNotFire, match=r"never fired: add at resid\.1"):
        quiet().run(prompts(), edits=[shift(Gate(Probe(R1, FIRST)), where=RESPONSE)])


# Padding and batches.


@pytest.mark.parametrize("reach", ["token", "prompt"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_padded_batch_is_its_prompts_one_by_one(family, reach):
    model = quiet(family, F64)
    edited = model.edited(shift(Gate(Probe(R1, FIRST), above=middle(model), reach=reach)))
    tokens, real = model.tokens(PROMPTS)
    together = edited.run(tokens, real=real, logits=1)
    alone = [edited.run(p, logits=1) for p in PROMPTS]
    assert torch.allclose(together.logits[:, -1], torch.cat([a.logits[:, -1] for a in alone]), atol=1e-9)
    assert together.receipts[0].fired == sum(a.receipts[0].fired for a in alone)


def test_padding_opens_no_row():
    model = quiet("llama", F64)
    tokens, real = model.tokens(PROMPTS)
    x = model.run(tokens, real=real, read=["resid.1"])["resid.1"]
    pads = x[1][~real[1]]
    direction = pads[0] / pads[0].norm()  # high on the padding of the second prompt
    above = max(float((x[real] @ direction).max()), 0.0)
    assert float((pads @ direction).max()) > above
    trace = model.run(tokens, real=real, edits=[shift(Gate(Probe(R1, direction), above=above, reach="prompt"))])
    assert trace.receipts[0].fired == 0


# Generating.


@pytest.mark.parametrize("where", [EVERY, RESPONSE], ids=str)
@pytest.mark.parametrize("reach", ["token", "prompt"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_cache_changes_nothing(family, reach, where):
    model = quiet(family, F64)
    edited = model.edited(shift(Gate(Probe(R1, FIRST), above=middle(model), reach=reach), where=where))
    cached, plain = (edited.generate(PROMPTS, max_new_tokens=4, use_cache=c).tokens for c in (True, False))
    assert torch.equal(cached, plain)


@pytest.mark.parametrize("where", [EVERY, PROMPT, Where.at(-1)], ids=str)
@pytest.mark.parametrize("reach", ["token", "prompt"])
def test_what_is_generated_is_what_whole_runs_say(reach, where):
    model = quiet("llama", F64)
    edited = model.edited(shift(Gate(Probe(R1, FIRST), above=middle(model), reach=reach), where=where))
    written = edited.generate(PROMPTS, max_new_tokens=4).tokens
    for row, prompt in zip(written, PROMPTS, strict=True):
        expected = by_hand(edited, prompt, 4)
        assert row[-len(expected) :].tolist() == expected


def test_a_prompt_gate_is_asked_of_the_prompt_only():
    model = quiet("llama", F64)
    text, written = PROMPTS[0], model.generate(PROMPTS[0], max_new_tokens=6).tokens
    x = model.run(written, read=["resid.1"])["resid.1"][0, :-1]
    rise = x[4:].amax(0) - x[:4].amax(0)
    direction = torch.eye(32)[rise.argmax()]  # what it writes is higher here than the prompt
    above = float(x[:4, rise.argmax()].max() + rise.max() / 2)
    by_prompt, by_token = (
        model.edited(shift(Gate(Probe(R1, direction), above=above, reach=r))) for r in ("prompt", "token")
    )
    for cached in (True, False):
        assert torch.equal(by_prompt.generate(text, max_new_tokens=6, use_cache=cached).tokens, written)
    assert rise.max() > 0 and by_token.generate(text, max_new_tokens=6).receipts[0].fired > 0


def test_a_prompt_gate_stays_open_while_it_writes():
    model = quiet("llama", F64)
    tokens, _ = model.tokens(PROMPTS[0])
    x = model.run(tokens, read=["resid.1"])["resid.1"][0, :, 0]
    gate = Gate(Probe(R1, FIRST), above=float(x.max()) - 1e-9, reach="prompt")  # one position opens it
    receipt = model.edited(shift(gate)).generate(PROMPTS[0], max_new_tokens=5, use_cache=True).receipts[0]
    assert (receipt.calls, receipt.reached, receipt.fired) == (5, 4 + 4, 4 + 4)
    answer = model.edited(shift(gate, where=RESPONSE)).generate(PROMPTS[0], max_new_tokens=5, use_cache=True)
    assert answer.receipts[0].fired == 4


def test_generating_twice_starts_anew():
    model = quiet("llama", F64)
    above = middle(model)
    edited = model.edited(shift(Gate(Probe(R1, FIRST), above=above, reach="prompt")))
    first = edited.generate(PROMPTS[0], max_new_tokens=4).tokens
    edited.generate(PROMPTS[2], max_new_tokens=4)
    assert torch.equal(edited.generate(PROMPTS[0], max_new_tokens=4).tokens, first)


# Gates elsewhere, and several.


@pytest.mark.parametrize("reach", ["token", "prompt"])
@pytest.mark.parametrize("there", ["embed", "attn.1", "resid.0"])
def test_a_gate_may_read_an_earlier_site(there, reach):
    model = quiet("llama", F64)
    gate = Gate(Probe(Site.parse(there), FIRST), above=middle(model, there), reach=reach)
    edited = model.edited(shift(gate))
    tokens, real = model.tokens(PROMPTS)
    above = (model.run(tokens, real=real, read=[there])[there][..., 0] > gate.above) & real
    opened = above if reach == "token" else above.any(1, keepdim=True) & real
    assert edited.run(tokens, real=real).receipts[0].fired == int(opened.sum()) > 0
    cached, plain = (edited.generate(PROMPTS, max_new_tokens=5, use_cache=c).tokens for c in (True, False))
    assert torch.equal(cached, plain)


def test_a_gate_on_a_unit_of_an_earlier_site():
    view = seen(site="resid.0")
    code = view.run(prompts(), read=["resid.0"]).code("resid.0")[..., 5]
    receipt = view.run(prompts(), edits=[shift(Gate(unit=5, at=Site("resid", 0)))]).receipts[0]
    assert receipt.fired == int((code > 0).sum()) and 0 < receipt.fired < receipt.reached


def test_a_gate_reads_what_arrives_before_the_edits_of_its_site():
    model = quiet()
    low = Set(R1, value=-1e3)  # would shut the gate of what follows, if that read it
    both = model.run(prompts(), edits=[low, shift(Gate(Probe(R1, FIRST), above=-500.0))]).receipts
    assert both[1].fired == 14


def test_a_gate_on_a_later_site_is_refused():
    with pytest.raises(ValueError, match=r"the gate reads resid\.2, which comes after the edit at resid\.1"):
        shift(Gate(Probe(Site("resid", 2), FIRST)))


@pytest.mark.parametrize("reach", ["token", "prompt"])
def test_one_gate_of_a_unit_at_two_sites_is_asked_at_each(reach):
    model = quiet("llama", F64)
    model = model.through(*(relu_dictionary(model, site, dtype=F64) for site in ("resid.0", "resid.1")))
    gate = Gate(unit=5, above=0.1, reach=reach)
    shared = model.edited(shift(gate, at="resid.0"), shift(gate, at="resid.1"))
    twins = [Gate(unit=5, above=0.1, reach=reach) for _ in range(2)]
    apart = model.edited(shift(twins[0], at="resid.0"), shift(twins[1], at="resid.1"))
    for cached in (True, False):
        one, two = (m.generate(PROMPTS, max_new_tokens=6, use_cache=cached) for m in (shared, apart))
        assert [r.fired for r in one.receipts] == [r.fired for r in two.receipts]
        assert torch.equal(one.tokens, two.tokens) and all(r.fired for r in one.receipts)


def test_gate_units_and_basis_together():
    view = seen()
    clean = view.run(prompts(), read=["resid.1"])
    code, (dictionary,) = clean.code("resid.1"), view.dictionaries.values()
    on, off = (code > 0).double().mean((0, 1)).sub(0.5).abs().argsort()[:2].tolist()
    edits = [Scale(R1, factor=0.0, basis="code", units=(off,), gate=Gate(unit=on), where=Where.at(1, 2, 3, 4)),
             Set(R1, value=2.0, basis="code", units=(on,))]  # fmt: skip
    new = code.clone()
    here = code[..., on] > 0
    here[:, [0, 5, 6]] = False
    new[..., off] = torch.where(here, 0, code[..., off])
    new[..., on] = 2.0
    edited = view.run(prompts(), read=["resid.1"], edits=edits)
    assert torch.allclose(edited["resid.1"], clean["resid.1"] + dictionary.write(new - code), atol=1e-12)
    assert edited.receipts[0].fired == int(here.sum()) > 0


def test_a_gate_at_heads_and_neurons():
    model = quiet("llama", F64)
    for site in ("head.1", "neuron.1", "q.1"):
        x = model.run(prompts(), read=[site])[site]
        direction = torch.ones(x.shape[-1], dtype=F64)
        gate = Gate(Probe(site, direction), above=float((x @ direction).median()))
        receipt = model.run(prompts(), edits=[Scale(site, factor=0.0, gate=gate)]).receipts[0]
        assert receipt.fired == int((x @ direction > gate.above).sum()) == 7
    view = model.heads()
    with pytest.raises(ValueError):
        view.run(prompts(), edits=[Scale("head.1", factor=0.0, gate=Gate(unit=4))])


def test_resuming_under_a_gate_is_running():
    model = quiet("llama", F64)
    base = model.run(prompts(), record=True)
    gate = Gate(Probe(Site("resid", 0), FIRST), above=middle(model, "resid.0"), reach="prompt")
    edit = shift(gate, at="resid.2")
    assert torch.equal(model.run(prompts(), edits=[edit], base=base).logits, model.run(prompts(), edits=[edit]).logits)
    copies = model.run(prompts().repeat(3, 1), edits=[edit], base=base)
    assert copies.receipts[0].fired == 3 * model.run(prompts(), edits=[edit]).receipts[0].fired


def test_gradients_pass_through_a_gated_edit():
    model = quiet("llama", F64)
    edit = Scale(R1, factor=3.0, gate=Gate(Probe(R1, FIRST), above=middle(model)))
    trace = model.run(prompts(), read=["embed", "resid.1"], edits=[edit], grad=True)
    grads = trace.gradients(trace.logits[:, -1, 5].sum())
    assert all(bool(g.isfinite().all()) and float(g.abs().sum()) > 0 for g in grads.values())


# What is refused.


def test_what_a_gate_cannot_read_is_refused():
    view = seen()
    for gate, words in (
        (Gate(Probe(R1, torch.ones(31))), r"shape \[31\]"),
        (Gate(unit=48), "reads unit 48 at resid.1, which has 48"),
        (Gate(unit=-1), "reads unit -1 at resid.1"),
        (Gate(unit=0, at=Site("resid", 0)), "not seen through a dictionary"),
    ):
        for run in (view.edited, lambda e: view.run(prompts(), edits=[e])):
            with pytest.raises(ValueError, match=words):
                run(shift(gate))
    for given in ({}, {"probe": Probe(R1, FIRST), "unit": 1}):
        with pytest.raises(ValueError, match="either a probe or a unit"):
            Gate(**given)


def test_another_lens_does_not_change_what_a_gate_means():
    model = quiet("llama", F64)
    one, other = (relu_dictionary(model, "resid.1", units=n, dtype=F64) for n in (48, 24))
    edited = model.through(one).edited(shift(Gate(unit=5)))
    for view in (lambda: edited.through(other), lambda: edited.neurons()):
        with pytest.raises(ValueError, match=r"resid\.1"):
            view()
    more = edited.through(one, relu_dictionary(model, "mlp.2", dtype=F64))
    assert torch.equal(more.run(prompts()).logits, edited.run(prompts()).logits)


def test_an_edit_of_ones_own_can_have_a_gate():
    class Double(ActivationEdit):
        def __call__(self, x):
            return 2 * x

    model = quiet()
    receipt = model.run(prompts(), edits=[Double(R1, gate=Gate(Probe(R1, FIRST), above=middle(model)))]).receipts[0]
    assert 0 < receipt.fired < 14


def test_a_gate_survives_the_disk(tmp_path):
    model = quiet("llama", F64)
    probe = Probe("resid.0", FIRST.double(), 1e-17, classes=("he", "she"), pool=Pool("mean", 2), fitted={"seed": 3})
    gates = [Gate(probe, above=middle(model, "resid.0"), reach="prompt"), Gate(unit=5, above=0.1)]
    stack = Stack((shift(gates[0]), Scale("neuron.2", factor=0.0, gate=gates[1], where=Where.at(-1))))
    again = Stack.load(stack.save(tmp_path / "gated.safetensors"))
    assert torch.equal(model.edited(again).run(prompts()).logits, model.edited(stack).run(prompts()).logits)
    for old, new in zip(stack, again, strict=True):
        pairs = [(getattr(old.gate, name), getattr(new.gate, name)) for name in ("unit", "above", "at", "reach")]
        assert all(one == other for one, other in pairs) and old.where == new.where
    assert again[0].gate.probe.record == probe.record and torch.equal(again[0].gate.probe.weight, probe.weight)
