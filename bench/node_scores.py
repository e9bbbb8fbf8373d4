"""What do node scores cost, and are they right? SmolLM2-135M on IOI, 8 prompts of 22 tokens, one thread.

Environment: python 3.11, torch 2.13.0 on a CPU, transformer-lens 3.8.0; a venv of its own, since that brings many
packages:  python -m venv lens-env
           lens-env/bin/pip install torch==2.13.0 transformer-lens==3.8.0 "transformers==5.23.*" jaxtyping cyclopts rich
Run:       PYTHONPATH=. lens-env/bin/python bench/node_scores.py        (5 CPU-minutes)

The same scores are computed by hand on TransformerLens' bridge: hooks on the embedding, on z and on the MLPs' output,
gradients for these alone (not for the weights, as a plain `backward` would), and the path of embeddings step by step.
The floor is the passes alone, by plain transformers with frozen weights. clew takes turns with one, then the other,
in one process; each search has a process of its own, where clew comes first, so that its peak of memory is its own.

circuitkit 0.2.0 is not run: its licence (LSAL 1.2, section 1A) asks organisations for a permission or an accepted
acknowledgement before they benchmark with it.
"""

import copy
import subprocess
import sys
from functools import partial
from typing import Any

import numpy as np
import torch
from _log import log, peak_gib, seconds

import clew
from clew import Behaviour, Circuit, Pair
from clew.data.behaviours.behaviour import Batch
from clew.methods.edges.eap import eap
from clew.methods.nodes.attribution_patching import attribution_patching
from clew.methods.nodes.integrated_gradients_inputs import integrated_gradients_inputs

NAMES = [("John", "Mary"), ("Tom", "Mary"), ("Anna", "Paul"), ("James", "Sarah"),
         ("David", "Laura"), ("Peter", "Alice"), ("Mark", "Anna"), ("Michael", "Mary")]  # fmt: skip
SEARCHES = {
    "attribution patching": (lambda m, b: attribution_patching(m.components(), b, positions=False), 1),
    "EAP, summed to nodes": (eap, 1),
    "integrated gradients of inputs, 5 steps": (
        lambda m, b: integrated_gradients_inputs(m.components(), b, steps=5, positions=False), 5,
    ),
}  # fmt: skip
REMARK = (
    "TransformerLens is used by hand, with gradients of the nodes alone; EAP scores every edge on the way, which it "
    "does not. Scores are averages over the prompts, in logits, positive = the node supports the behaviour. "
    "circuitkit 0.2.0 was not run, because of its licence."
)


def prompts(model: clew.Model) -> Behaviour:
    """Eight pairs of 22 tokens, start token included, in token ids."""
    tokenizer: Any = model.tokenizer
    encode = lambda text: tuple(tokenizer(text)["input_ids"])  # noqa: E731
    start = (tokenizer.bos_token_id,)
    text = "Then, {b} and {a} were working at the big grocery store together. {s} decided to give a drink to"
    pairs = [
        Pair(
            start + encode(text.format(a=a, b=b, s=a)), start + encode(text.format(a=a, b=b, s=b)),
            encode(f" {b}"), encode(f" {a}"),
        )
        for a, b in NAMES
    ]  # fmt: skip
    return Behaviour("ioi", tuple(pairs))


def passes(module: Any, tokens: torch.Tensor, steps: int) -> None:
    """The bare passes: `steps` forwards and backwards down to the embeddings, and one more forward."""
    for i in range(steps + 1):
        with torch.set_grad_enabled(i < steps):
            embeddings = module.get_input_embeddings()(tokens).detach().requires_grad_(i < steps)
            logits = module(inputs_embeds=embeddings, use_cache=False, logits_to_keep=1).logits
        if i < steps:
            torch.autograd.grad(logits.logsumexp(-1).sum(), embeddings)


class ByHand:
    """Node scores on TransformerLens' bridge, written here."""

    def __init__(self, module: Any, tokenizer: Any) -> None:
        from transformer_lens.model_bridge import TransformerBridge

        name = "HuggingFaceTB/SmolLM2-135M"
        self.bridge = TransformerBridge.boot_transformers(name, hf_model=module, tokenizer=tokenizer, device="cpu")
        self.hooks = ["hook_embed"]
        for layer in range(module.config.num_hidden_layers):
            self.hooks += [f"blocks.{layer}.attn.hook_z", f"blocks.{layer}.hook_mlp_out"]

    def run(
        self, tokens: torch.Tensor, start: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Logits at the end and the value at every hook; `start` stands in for the embeddings."""
        seen: dict[str, torch.Tensor] = {}

        def keep(value: torch.Tensor, name: str, **_: object) -> torch.Tensor:
            seen[name] = start if start is not None and name == "hook_embed" else value
            return seen[name]

        hooks = [(name, partial(keep, name=name)) for name in self.hooks]
        return self.bridge.run_with_hooks(tokens, fwd_hooks=hooks)[:, -1], seen

    def scores(self, batch: Batch, steps: int) -> torch.Tensor:
        """(patch - clean) times the mean gradient on the path, averaged over examples: embed, then heads and MLP."""
        assert batch.patch is not None and batch.patch_answers is not None
        with torch.no_grad():
            other = self.run(batch.patch)[1]
        total: dict[str, torch.Tensor] = {}
        clean: dict[str, torch.Tensor] = {}
        for step in range(steps):
            path = torch.lerp(clean["hook_embed"], other["hook_embed"], step / steps).requires_grad_() if step else None
            logits, seen = self.run(batch.clean, path)
            loss = (logits.gather(1, batch.patch_answers) - logits.gather(1, batch.answers)).sum()
            for name, grad in zip(seen, torch.autograd.grad(loss, list(seen.values())), strict=True):
                total[name] = total[name] + grad if name in total else grad
            clean = clean or {name: value.detach() for name, value in seen.items()}
        parts = []
        for name in self.hooks:
            effect = (total[name] / steps * (other[name] - clean[name])).sum((1, -1))
            parts.append(effect.mean(0).reshape(-1))
        return torch.cat(parts)


def by_node(circuit: Circuit, model: clew.Model) -> np.ndarray:
    """Scores of all sources, in forward order."""
    order = [clew.Site("embed")]
    for layer in range(model.n_layers):
        order += [clew.Site("head", layer), clew.Site("mlp", layer)]
    scores = []
    for site in order:
        found = np.zeros(circuit.units[site])
        at = circuit.site == circuit.sites.index(site)
        found[circuit.unit[at]] = circuit.score[at]
        scores.append(found)
    return np.concatenate(scores)


def one(name: str) -> None:
    """Time one search against the same on TransformerLens and against its floor, and print one line."""
    torch.set_num_threads(1)
    model = clew.open("smollm2-135m")
    behaviour = prompts(model)
    (batch,) = behaviour.batches(model)
    search, steps = SEARCHES[name]
    found = by_node(search(model, behaviour), model)
    peak = peak_gib() * 1.073741824
    hand = ByHand(copy.deepcopy(model.body.module), model.tokenizer)
    theirs = hand.scores(batch, steps).double().numpy()
    ours, view = seconds(lambda: search(model, behaviour), lambda: hand.scores(batch, steps), rounds=5)
    bare = copy.deepcopy(model.body.module).requires_grad_(False)
    again, floor = seconds(lambda: search(model, behaviour), lambda: passes(bare, batch.clean, steps), rounds=5)
    ours = min(ours, again)
    times = f"{ours:.2f}|{view:.2f}|{view / ours:.2f}|{floor:.2f}|{ours / floor:.2f}|{peak:.2f}"
    gap, top = np.abs(found - theirs).max(), np.abs(theirs).max()
    print(f"{name}|{times}|{gap:.1e} of {top:.2f}|{np.corrcoef(found, theirs)[0, 1]:.8f}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        one(sys.argv[1])
        sys.exit()
    torch.set_num_threads(1)
    head = "search|CPU-seconds|TransformerLens|its ratio to clew|bare passes|clew to bare passes|peak GB"
    rows: list[tuple[str, ...]] = [tuple(f"{head}|largest difference of scores|correlation".split("|"))]
    for name in SEARCHES:
        out = subprocess.run([sys.executable, __file__, name], capture_output=True, text=True, check=True).stdout
        rows.append(tuple(out.strip().splitlines()[-1].split("|")))
    log("node_scores: SmolLM2-135M, 8 prompts of 22 tokens, against TransformerLens 3.8.0", rows, REMARK)
