"""The fingerprint of weights: every byte counts, the machine does not, and a change is noticed."""

import hashlib

import pytest
import torch
from torch import nn

from clew.models.fingerprint import fingerprint, stamp, versions
from tests.models.tiny import model_of, module_of, prompts


class One(nn.Module):
    """One tensor of eight numbers."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.arange(8).to(dtype).view(2, 4))


def test_the_hash_is_of_the_bytes_and_of_what_they_mean():
    inside = hashlib.sha256(hashlib.sha256(One().weight.detach().numpy().tobytes()).digest()).hexdigest()
    expected = hashlib.sha256(b"One" + f"weight (2, 4) torch.float32 {inside}\n".encode()).hexdigest()[:16]
    assert fingerprint(One()) == expected


def test_every_byte_counts_and_so_do_dtype_and_shape():
    plain, nudged, reshaped = One(), One(), One()
    with torch.no_grad():
        nudged.weight[1, 3] = torch.nextafter(nudged.weight[1, 3], torch.tensor(9.0))
    reshaped.weight = nn.Parameter(reshaped.weight.detach().view(4, 2))
    assert len({fingerprint(m) for m in (plain, nudged, reshaped, One(torch.bfloat16), One(torch.float64))}) == 5
    assert fingerprint(One()) == fingerprint(plain)


def test_the_fingerprint_does_not_depend_on_the_number_of_threads(monkeypatch):
    threads = torch.get_num_threads()
    module = nn.Linear(2048, 2049)  # the sum of so many numbers depends on who adds them up
    monkeypatch.setattr("clew.models.fingerprint.CHUNK", 1 << 20)
    found = set()
    try:
        for n in (1, 2, 4):
            torch.set_num_threads(n)
            monkeypatch.setattr("os.cpu_count", lambda n=n: n)
            found.add(fingerprint(module))
    finally:
        torch.set_num_threads(threads)
    assert len(found) == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int8, torch.bool])
def test_tensors_of_any_kind_and_layout_are_hashed(dtype):
    module = nn.Module()
    module.register_buffer("across", torch.arange(12).to(dtype).view(3, 4).T)
    module.register_buffer("single", torch.tensor(1).to(dtype))
    module.register_buffer("empty", torch.zeros(0, 3).to(dtype))
    other = nn.Module()
    for name, t in module.named_buffers():
        other.register_buffer(name, t.contiguous())
    assert fingerprint(module) == fingerprint(other)


def test_weights_that_are_tied_are_those_that_are_equal():
    tied, apart = module_of("gpt2"), module_of("gpt2")
    apart.lm_head.weight = nn.Parameter(apart.lm_head.weight.detach().clone())
    assert tied.lm_head.weight is tied.transformer.wte.weight and fingerprint(tied) == fingerprint(apart)


def train_a_step(module):
    weights = [p.requires_grad_(True) for p in module.parameters()]
    optimiser = torch.optim.SGD(weights, lr=0.1)
    module(input_ids=prompts()).logits.square().mean().backward()
    optimiser.step()


def zero_a_bias(module):
    module.transformer.h[1].mlp.c_fc.bias.data.zero_()  # which torch does not count


def swap_the_head(module):
    module.lm_head.weight = nn.Parameter(2 * module.lm_head.weight.detach())


@pytest.mark.parametrize("change", [train_a_step, zero_a_bias, swap_the_head])
def test_a_change_of_the_weights_is_noticed(change):
    model = model_of("gpt2")
    before = model.body.fingerprint
    change(model.body.module)
    assert model.body.fingerprint == fingerprint(model.body.module) != before


def test_the_weights_are_hashed_once_while_they_stay_as_they_are(monkeypatch):
    model = model_of()
    before, mark = model.body.fingerprint, stamp(model.body.module)
    monkeypatch.setattr("clew.models.body.fingerprint", None)
    model.run(prompts(), read=model.sites(), grad=True)
    model.generate("the nurse", max_new_tokens=2)
    assert model.body.fingerprint == before and stamp(model.body.module) == mark


def test_tensors_made_in_inference_mode_have_a_fingerprint_too():
    with torch.inference_mode():
        module = module_of("llama")
    assert fingerprint(module) == fingerprint(module_of("llama")) and stamp(module) and versions(module)
