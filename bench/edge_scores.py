"""What do edge scores cost? EAP and EAP-IG of SmolLM2-135M against the bare passes they cannot do without.

Four prompts of 15 tokens, one thread. The floor is the passes alone, by plain transformers with frozen weights: for EAP
two forwards and one backward to the embeddings, for EAP-IG with five steps six and five. The usual implementation
(EAP-IG's, on TransformerLens, ungrouped) was measured apart on another machine of this kind: 16.1 CPU-seconds and
2.36 GB for EAP, 62.4 and 2.91 GB for EAP-IG; what it is to ours there is not measured here.

Every search runs in a process of its own, so that its peak of memory (of the whole process, model included) is its own.
"""

import subprocess
import sys
import time

import torch
from _log import log, peak_gib, seconds

import clew
from clew import Behaviour, Pair
from clew.measures.circuits._edges import EdgeTrial
from clew.methods.edges.eap import eap
from clew.methods.edges.eap_ig_inputs import eap_ig_inputs

NAMES = [("John", "Mary"), ("Tom", "Mary"), ("Anna", "Mary"), ("Paul", "Mary")]
SEARCHES = {
    "EAP, ungrouped": (eap, True, 2, 1),
    "EAP": (eap, False, 2, 1),
    "EAP-IG, 5 steps, ungrouped": (eap_ig_inputs, True, 6, 5),
    "EAP-IG, 5 steps": (eap_ig_inputs, False, 6, 5),
}


def prompts(model: clew.Model) -> Behaviour:
    """Four pairs of 15 tokens, start token included, in token ids."""
    encode = lambda text: tuple(model.tokenizer(text)["input_ids"])  # noqa: E731
    start = (model.tokenizer.bos_token_id,)
    text = "When {b} and {a} went to the store, {s} gave a drink to"
    pairs = [
        Pair(
            start + encode(text.format(a=a, b=b, s=a)), start + encode(text.format(a=a, b=b, s=b)),
            encode(f" {b}"), encode(f" {a}"),
        )
        for a, b in NAMES
    ]  # fmt: skip
    return Behaviour("ioi", tuple(pairs))


def passes(model: clew.Model, tokens: torch.Tensor, forwards: int, backwards: int) -> None:
    """The bare passes: stock module, frozen weights, gradients down to the embeddings."""
    module = model.body.module
    for i in range(forwards):
        with torch.set_grad_enabled(i < backwards):
            embeddings = module.get_input_embeddings()(tokens).detach().requires_grad_(i < backwards)
            logits = module(inputs_embeds=embeddings, use_cache=False, logits_to_keep=1).logits
        if i < backwards:
            torch.autograd.grad(logits.logsumexp(-1).sum(), embeddings)


def one(name: str) -> None:
    """Time one search against its floor, and print one line."""
    torch.set_num_threads(1)
    model = clew.open("smollm2-135m")
    behaviour = prompts(model)
    (batch,) = behaviour.batches(model)
    search, ungrouped, forwards, backwards = SEARCHES[name]
    before = peak_gib()
    search(model, behaviour, ungrouped=ungrouped)
    peak = peak_gib()
    for p in model.body.module.parameters():
        p.requires_grad_(False)
    ours, floor = seconds(
        lambda: search(model, behaviour, ungrouped=ungrouped),
        lambda: passes(model, batch.clean, forwards, backwards),
        rounds=5,
    )
    print(f"{name}|{ours:.2f}|{floor:.2f}|{ours / floor:.2f}|{peak * 1.073741824:.2f}|{before * 1.073741824:.2f}")


def curve() -> tuple[int, float]:
    """Passes over the prompts, and seconds, of a curve of ten sizes."""
    model = clew.open("smollm2-135m")
    behaviour = prompts(model)
    scores = eap_ig_inputs(model, behaviour)
    start = time.process_time()
    trial = EdgeTrial(model, behaviour)
    for share in (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0):
        trial.circuit_metric(scores.strongest_edges(int(share * len(scores.weight))))
    return trial.forwards, time.process_time() - start


if __name__ == "__main__":
    if len(sys.argv) > 1:
        one(sys.argv[1])
        sys.exit()
    torch.set_num_threads(1)
    rows = [("search", "CPU-seconds", "bare passes", "ratio", "peak GB", "peak GB before")]
    for name in SEARCHES:
        out = subprocess.run([sys.executable, __file__, name], capture_output=True, text=True, check=True).stdout
        rows.append(tuple(out.strip().splitlines()[-1].split("|")))
    forwards, spent = curve()
    remark = f"A curve of ten sizes, 4 prompts: {forwards} passes over the prompts, {spent:.1f} CPU-seconds."
    log("edge_scores: EAP and EAP-IG against the bare passes, SmolLM2-135M, 4 prompts of 15 tokens", rows, remark)
