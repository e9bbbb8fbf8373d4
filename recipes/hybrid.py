"""A hybrid whose circuits are planted: attention, state spaces and experts of a small Jamba, trained here, found by clew.

Three tasks of 16 tokens are planted in a Jamba of four blocks, each in parts of other kinds:

- *recall*, `k v k v ... k k k k k`: five keys with a value each, then five keys that are asked; which value followed the last
  one. The state space of block 0 notes at a value which key stands before it, and head 2 of block 1 looks for the key that is
  asked: an induction circuit of a mixer and a head.
- *latest*, `. . m . m . ?`: which mark came last. The state space of block 2, alone.
- *table*, `. . c . . x`: one of two tables, by the class c, takes x to y. The state space of block 0 carries the class to x,
  and of the four experts of block 1 the first has the table of one class, the second that of the other.

How they are planted: by strict interchange intervention training (Geiger et al. 2022, arXiv:2112.00826; Gupta et al. 2024,
arXiv:2407.14494, for "strict"). At every step parts take what they wrote on another prompt of their task. Where a planted
part does, at the positions of its step, the right answer is what the algorithm above gives with that step taken from the
other prompt; where any other part does, or a planted one elsewhere, it is what it was. The router is told the expert of x.

The truth is not taken from the training. It is counted, by plain hooks and without clew, on prompts never seen: all 32,768
sets of the 14 parts and of "the planted parts at other positions" are patched from each pair's other prompt. Claim: the
answer is the clean one under exactly those sets that hold no planted part, and that of the other prompt under all others. So
no part but the planted ones belongs to the circuit, and none of them can be missed, whatever one takes a circuit to be.

What clew finds is held against that. Expected: integrated gradients and exact patching, of parts and of edges, rank every
planted part above every other one; attribution patching, one gradient at the clean prompt, does not where softmaxes are
saturated. What was planted is as faithful as the whole model. Without one expert the model has lost one table and no more.

Minutes: about ten on one core, most of them training. `--tiny` takes few steps and prompts and writes nothing; `--model
FOLDER` keeps the trained model, for clew's commands. Writes docs/results/hybrid.json and prints its tables.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast
from unittest.mock import patch

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor, nn
from transformers import JambaConfig, JambaForCausalLM, PreTrainedTokenizerFast
from transformers.models.jamba import modeling_jamba

import clew
from clew.changes import Scale
from clew.circuits.circuit import OUTPUT
from clew.data.planted import Planted
from clew.data.planted._compile import known_circuit
from clew.files import jsonable, write_json
from clew.models.graph.components import Components
from clew.sites import READERS

RESULT = Path(__file__).parent.parent / "docs" / "results" / "hybrid.json"
STEPS = 2500
LENGTH, HEADS, HEAD, EXPERTS = 16, 4, 2, 4
KEYS, VALUES, MARKS, CLASSES, INPUTS, FILLERS = 5, 10, 4, 2, 8, 8
SPECIAL = ("recall", "latest", "table", "?")
WORDS = (
    *SPECIAL,
    *(f"{kind}{i}" for kind, n in (("k", KEYS), ("v", VALUES), ("m", MARKS), ("c", CLASSES)) for i in range(n)),
    *(f"{kind}{i}" for kind, n in (("x", INPUTS), ("y", INPUTS), ("f", FILLERS)) for i in range(n)),
)
K, V, M, C, X, Y, F = (WORDS.index(f"{kind}0") for kind in "kvmcxyf")
PARTS = (
    "mixer.0", "mlp.0", *(f"head.1/{h}" for h in range(HEADS)), "mlp.1",
    "mixer.2", "mlp.2", *(f"head.3/{h}" for h in range(HEADS)), "mlp.3",
)  # fmt: skip
"""All that writes into the stream after the embedding, in order."""
LAST = slice(LENGTH - 1, LENGTH)
PLANTED = {
    "recall": {"mixer.0": slice(2, 2 * KEYS + 1, 2), f"head.1/{HEAD}": slice(LENGTH - KEYS, LENGTH)},
    "latest": {"mixer.2": LAST},
    "table": {"mixer.0": LAST, "mlp.1": LAST},
}
"""Of each task, the part that takes the first step and the part that takes the last, and at which positions."""
CHAINS = {
    "recall": ("embed -> mixer_in.0", f"mixer.0 -> k.1/{HEAD // 2}", f"head.1/{HEAD} -> logits"),
    "latest": ("embed -> mixer_in.2", "mixer.2 -> logits"),
    "table": ("embed -> mixer_in.0", "mixer.0 -> mlp_in.1", "mlp.1 -> logits"),
}
"""Over which edges runs what two prompts of a pair do not have in common."""


# The tasks.


@dataclass(frozen=True)
class Asked:
    """Prompts of a task, and what the algorithm has of each of them after its first step, and beside it."""

    task: str
    tokens: Tensor
    """[prompt, 16]."""
    noted: Tensor
    """[prompt, ...] what the first part hands on: the keys before the values; the last mark; the class."""
    rest: Tensor
    """[prompt, ...] what the last part reads beside it: the values and the keys that are asked; x."""

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def answer(self) -> Tensor:
        """[prompt] what follows."""
        return answers(self.task, self.noted, self.rest)[:, -1]

    def other(self) -> "Asked":
        """Prompts that differ in what the first step finds and in nothing else that matters."""
        tokens, noted = self.tokens.clone(), self.noted
        if self.task == "recall":
            noted = self.noted.roll(1, dims=1)
            tokens[:, 1 : 2 * KEYS : 2] = K + noted
        elif self.task == "latest":
            noted = (self.noted + 1) % MARKS
            last = ((tokens >= M) & (tokens < M + MARKS)).int().mul(torch.arange(LENGTH)).argmax(1)
            tokens[torch.arange(len(self)), last] = M + noted
        else:
            noted = 1 - self.noted
            tokens = torch.where(tokens == (C + self.noted)[:, None], (C + noted)[:, None], tokens)
        return Asked(self.task, tokens, noted, self.rest)


def tables() -> Tensor:
    """[class, x] two ways to take x to y that agree nowhere."""
    one = torch.randperm(INPUTS, generator=torch.Generator().manual_seed(0))
    return torch.stack([one, one.roll(3)])


def answers(task: str, noted: Tensor, rest: Tensor) -> Tensor:
    """[prompt, position] what follows at the last positions, by what the first step found and the last one reads."""
    if task == "recall":
        values, asked = rest.split(KEYS, 1)
        return V + values.gather(1, (noted[:, None] == asked[:, :, None]).int().argmax(2))
    return (M + noted if task == "latest" else Y + tables()[noted, rest[:, 0]])[:, None]


def drawn(task: str, n: int, g: torch.Generator) -> Asked:
    """n prompts of a task."""

    def some(high: int, *shape: int) -> Tensor:
        return torch.randint(high, shape or (n,), generator=g)

    row, first = torch.arange(n), torch.full((n, 1), WORDS.index(task))
    body = F + some(FILLERS, n, LENGTH - 2)
    if task == "recall":
        keys, values = (torch.rand(n, many, generator=g).argsort(1)[:, :KEYS] for many in (KEYS, VALUES))
        asked, body = some(KEYS, n, KEYS), torch.stack([K + keys, V + values], 2).flatten(1)
        return Asked(task, torch.cat([first, body, K + asked], 1), keys, torch.cat([values, asked], 1))
    if task == "latest":
        here = torch.rand(body.shape, generator=g) < 0.25
        here[row, some(LENGTH - 2)] = True
        marks = some(MARKS, n, LENGTH - 2)
        noted = marks[row, (here * torch.arange(1, LENGTH - 1)).argmax(1)]
        end = torch.full((n, 1), WORDS.index("?"))
        return Asked(task, torch.cat([first, torch.where(here, M + marks, body), end], 1), noted, noted[:, None][:, :0])
    kind, x = some(CLASSES), some(INPUTS)
    body[row, some(LENGTH - 2)] = C + kind
    return Asked(task, torch.cat([first, body, X + x[:, None]], 1), kind, x[:, None])


# The model, and interchanges in it by plain hooks.


def untrained() -> JambaForCausalLM:
    """Four blocks: state space and MLP, attention and experts, and the same again."""
    torch.manual_seed(0)
    return JambaForCausalLM(
        JambaConfig(
            vocab_size=len(WORDS), hidden_size=32, intermediate_size=64, num_hidden_layers=4,
            num_attention_heads=HEADS, num_key_value_heads=HEADS // 2, attn_layer_period=2, attn_layer_offset=1,
            num_experts=EXPERTS, num_experts_per_tok=2, expert_layer_period=2, expert_layer_offset=1,
            mamba_d_state=4, mamba_dt_rank=4, max_position_embeddings=64,
            initializer_range=0.15, pad_token_id=None, bos_token_id=None, eos_token_id=None,
        )
    )  # fmt: skip


@dataclass
class Interchanges:
    """Parts of a model that take what they wrote in another row of the batch."""

    donor: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.long))
    """[row]."""
    swapped: Tensor = field(default_factory=lambda: torch.zeros(0, len(PARTS), LENGTH, dtype=torch.bool))
    """[row, part, position]."""
    router: Tensor = field(default_factory=lambda: torch.zeros(0))
    """[row, 16, expert] what block 1 thought of its experts, before the softmax."""

    @contextmanager
    def on(self, module: JambaForCausalLM) -> Iterator["Interchanges"]:
        """With the hooks in place."""
        blocks: Any = module.model.layers
        hooks = [b.feed_forward.register_forward_hook(self._whole(f"mlp.{i}")) for i, b in enumerate(blocks)]
        for i in (0, 2):
            hooks.append(blocks[i].mamba.register_forward_hook(self._whole(f"mixer.{i}")))
            hooks.append(blocks[i + 1].self_attn.o_proj.register_forward_pre_hook(self._heads(i + 1)))
        hooks.append(blocks[1].feed_forward.router.register_forward_hook(self._routed))
        try:
            yield self
        finally:
            for hook in hooks:
                hook.remove()

    def _whole(self, part: str) -> Callable[..., Tensor]:
        at = PARTS.index(part)
        return lambda m, args, out: torch.where(self.swapped[:, at, :, None], out[self.donor], out)

    def _heads(self, layer: int) -> Callable[..., tuple[Tensor]]:
        at = slice(PARTS.index(f"head.{layer}/0"), PARTS.index(f"head.{layer}/{HEADS - 1}") + 1)

        def hook(m: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
            heads = args[0].unflatten(-1, (HEADS, -1))
            return (torch.where(self.swapped[:, at].mT[..., None], heads[self.donor], heads).flatten(-2),)

        return hook

    def _routed(self, m: nn.Module, args: Any, out: tuple[Tensor, ...]) -> None:
        self.router = out[0].unflatten(0, (-1, LENGTH))


def scanned(u: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, *, D: Tensor, z: Tensor, **more: Any) -> Tensor:
    """The state space as transformers has it, [row, channel, 16]; there the gradient fills a whole tensor at every step."""
    dt = nn.functional.softplus(dt + more["delta_bias"][:, None]).transpose(1, 2)
    comes = (dt * u.transpose(1, 2))[..., None] * B.transpose(1, 2)[:, :, None]
    state, states = torch.zeros_like(comes[:, 0]), list[Tensor]()
    for stays, came in zip(torch.exp(A * dt[..., None]).unbind(1), comes.unbind(1), strict=True):
        state = stays * state + came
        states.append(state)
    return (torch.einsum("btis,bst->bit", torch.stack(states, 1), C) + u * D[:, None]) * nn.functional.silu(z)


def training_batch(tasks: Sequence[str], each: int, g: torch.Generator) -> tuple[Tensor, Tensor, Interchanges, Tensor]:
    """(prompts, right answers at the last positions or -1, who takes what from which row, the expert of each row or -1)."""
    tokens, right, donors, rows, experts = [], [], [], [], []
    for i, task in enumerate(tasks):
        asked, donor = drawn(task, each, g), torch.randperm(each, generator=g)
        rate = torch.tensor([0.0, 0.5, 1.0])[torch.randint(3, (each, 1), generator=g)]
        swapped = (torch.rand(each, len(PARTS), generator=g) < rate)[..., None].repeat(1, 1, LENGTH)
        steps = torch.rand(each, len(PLANTED[task]), generator=g) < 0.25
        for (part, places), step in zip(PLANTED[task].items(), steps.T, strict=True):
            swapped[:, PARTS.index(part), places] = step[:, None]
        first, last = steps[:, 0], steps[:, -1]
        noted = torch.where((first | last).view(-1, *[1] * (asked.noted.ndim - 1)), asked.noted[donor], asked.noted)
        rest = torch.where(last[:, None], asked.rest[donor], asked.rest)
        tokens.append(asked.tokens)
        right.append(nn.functional.pad(answers(task, noted, rest), (KEYS, 0), value=-1)[:, -KEYS:])
        donors.append(i * each + donor)
        rows.append(swapped)
        routed = torch.where(first, asked.noted[donor], asked.noted) if task == "table" else torch.full((each,), -1)
        experts.append(routed)
    return torch.cat(tokens), torch.cat(right), Interchanges(torch.cat(donors), torch.cat(rows)), torch.cat(experts)


def trained(tasks: Sequence[str], *, steps: int, each: int = 32, seed: int = 0) -> JambaForCausalLM:
    """The model with these tasks planted in it."""
    g, module, swaps = torch.Generator().manual_seed(seed), untrained(), Interchanges()
    optimizer = torch.optim.AdamW(module.parameters(), lr=3e-3, betas=(0.9, 0.98), weight_decay=0.01)
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: min(1, (s + 1) / 100) * min(1, 2 - 2 * s / steps))
    with swaps.on(module.train()), patch.object(modeling_jamba, "mamba_selective_scan", scanned):
        for _ in range(steps):
            tokens, right, made, experts = training_batch(tasks, each, g)
            swaps.donor, swaps.swapped = made.donor, made.swapped
            logits = module(input_ids=tokens, logits_to_keep=KEYS, use_cache=False).logits
            pairs = zip(logits.split(each), right.split(each), strict=True)
            loss = torch.zeros(()) + sum(
                nn.functional.cross_entropy(said.transpose(1, 2), due, ignore_index=-1) for said, due in pairs
            )
            if "table" in tasks:
                loss = loss + 0.3 * nn.functional.cross_entropy(swaps.router[:, -1], experts, ignore_index=-1)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimizer.step()
            rate.step()
    return module.eval()


# The truth, counted.


def subsets() -> Tensor:
    """[set, part + 1] all sets of parts, where a planted part means its places; the last column is its other places."""
    return (torch.arange(2 ** (len(PARTS) + 1))[:, None] >> torch.arange(len(PARTS) + 1)) & 1 == 1


def placed(task: str, sets: Tensor) -> Tensor:
    """[set, part, position] of sets of parts."""
    where = sets[:, :-1, None].repeat(1, 1, LENGTH)
    for part, places in PLANTED[task].items():
        at = PARTS.index(part)
        where[:, at] = sets[:, -1:]
        where[:, at, places] = sets[:, at, None]
    return where


@torch.no_grad()
def counted(module: JambaForCausalLM, task: str, *, pairs: int = 4, sets: Tensor | None = None) -> dict[str, Any]:
    """Patch sets of parts, all of them by default, from each pair's other prompt; how often what follows is as planted.

    As planted is the clean answer where no planted part is in the set, and the other one where one is.
    """
    clean, tried = drawn(task, pairs, torch.Generator().manual_seed(1)), subsets() if sets is None else sets
    other = clean.other()
    within = tried[:, [PARTS.index(part) for part in PLANTED[task]]].any(1)
    right, still = list[Tensor](), torch.zeros(pairs, len(PARTS), LENGTH, dtype=torch.bool)
    with Interchanges().on(module) as swaps:
        for some, planted in zip(tried.split(512), within.split(512), strict=True):
            n = len(some)
            swaps.swapped = torch.cat([placed(task, some).repeat_interleave(pairs, 0), still])
            swaps.donor = n * pairs + torch.arange(pairs).repeat(n + 1)
            tokens = torch.cat([clean.tokens.repeat(n, 1), other.tokens])
            logits = module(input_ids=tokens, logits_to_keep=1, use_cache=False).logits[: n * pairs, -1]
            due = torch.where(planted[:, None], other.answer, clean.answer)
            right.append(logits.argmax(1).view(n, pairs) == due)
    whole = torch.cat(right)
    return {"sets": len(tried), "pairs": pairs, "as planted": float(whole.float().mean())}


def tokenizer() -> PreTrainedTokenizerFast:
    """One token a word."""
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="f0"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="f0")


# What clew makes of it.

NODES = ("attribution_patching", "integrated_gradients", "exact_patching")
EDGES = ("eap", "eap_ig_inputs", "exact_edge_patching")
PATCH = clew.Ablation("patch")


def said(tokens: Tensor) -> str:
    return " ".join(WORDS[token] for token in tokens.tolist())


def behaviour(task: str, n: int, seed: int = 2) -> clew.Behaviour:
    """Pairs of prompts that differ in what the first step finds, in words."""
    clean = drawn(task, n, torch.Generator().manual_seed(seed))
    other = clean.other()
    rows = zip(clean.tokens, other.tokens, clean.answer.tolist(), other.answer.tolist(), strict=True)
    pairs = tuple(clew.Pair(said(a), said(b), f" {WORDS[x]}", f" {WORDS[y]}") for a, b, x, y in rows)
    return clew.Behaviour(f"planted {task}", pairs, aligned=task == "recall")


def valued(report: clew.Report) -> dict[str, list[float]]:
    """[value, low, high] of each row."""
    return {f"{row.measure} {row.of}".strip(): [row.value, row.low, row.high] for row in report.rows}


def searched(model: clew.Model, task: str, n: int, searches: Sequence[str] = (*NODES, *EDGES)) -> dict[str, Any]:
    """What each search finds of the planted parts, and how faithful what was planted is."""
    view, asked = model.components(), behaviour(task, n)
    truth = Planted(model, asked, known_circuit(model, CHAINS[task]), WORDS)
    found: dict[str, Any] = {}
    for by in searches:
        options: dict[str, Any] = {"positions": False} if by in NODES else {}
        circuit = clew.find(view, asked, by=by, **options)
        rows = valued(
            clew.verify(view, asked, circuit, by="recovery", truth=truth.nodes if by in NODES else truth.circuit)
        )
        size = {node.address: abs(node.score) for node in circuit if node.site.part not in READERS}
        parts = {node.address for node in truth.nodes}
        least, most = min(size[p] for p in parts), max(v for p, v in size.items() if p not in parts)
        found[by] = {
            "recovered": {name: value for name, (value, *_) in rows.items()},
            "least true": least,
            "most other": most,
        }
    nodes = truth.nodes
    return {
        "searches": found,
        "nodes": valued(clew.verify(view, asked, nodes, ablation=PATCH)),
        "random nodes": valued(
            clew.verify(view, asked, nodes, by="controls", ablation=PATCH, draws=50, depth_matched=False)
        ),
        "edges": valued(clew.verify(model, asked, truth.circuit)),
        "edges planted": len(truth.circuit.weight),
        "edges in all": Components(model.body).n_edges,
    }


def placed_right(model: clew.Model, n: int) -> dict[str, Any]:
    """Of recall, where clew finds the parts: the share of each one's |effect| that lies at its planted positions."""
    circuit = clew.find(model.components(), behaviour("recall", n), by="exact_patching", positions=True)
    shares: dict[str, Any] = {}
    for part, places in PLANTED["recall"].items():
        address = part if "/" in part else f"{part}/0"
        at = {node.position: abs(node.score) for node in circuit if f"{node.site}/{node.unit}" == address}
        inside = sum(at.get(p, 0.0) for p in range(LENGTH)[places])
        shares[part] = inside / sum(at.values())
    return shares


def experts_of(model: clew.Model, n: int) -> dict[str, Any]:
    """Experts among components: the weight of each at x by class, their effects, and how faithful the two of the plan are."""
    view, asked = model.components(experts=True), behaviour("table", n)
    planted = ("mixer.0/0", *(f"expert.1/{c}" for c in range(CLASSES)))
    scores, circuit = {}, clew.find(view, asked, by="exact_patching", positions=False)
    for by in NODES:
        found = clew.find(view, asked, by=by, positions=False)
        scores[by] = {node.address: node.score for node in found}
    circuit = circuit.keep(np.isin([node.address for node in circuit], planted))
    some = drawn("table", n, torch.Generator().manual_seed(3))
    weights = model.run(some.tokens, read=["router.1"], logits=0)["router.1"][:, -1]
    wired = clew.find(view, asked, circuit, by="edges", gradient="integrated_gradients")
    names = [node.address for node in wired]
    return {
        "weights": {f"c{c}": weights[some.noted == c].mean(0).tolist() for c in range(CLASSES)},
        "scores": scores,
        "planted": valued(clew.verify(view, asked, circuit, ablation=PATCH)),
        "random": valued(
            clew.verify(view, asked, circuit, by="controls", ablation=PATCH, draws=50, depth_matched=False)
        ),
        "edges": [
            (names[u], "metric" if v == OUTPUT else names[v], weight)
            for u, v, weight in zip(wired.source.tolist(), wired.target.tolist(), wired.weight.tolist(), strict=True)
        ],
    }


def told(model: clew.Model, asked: Asked) -> Tensor:
    """[prompt] whether the model goes on with the answer, by `generate`."""
    written = model.generate([said(tokens) for tokens in asked.tokens], max_new_tokens=1).tokens[:, -1]
    return written == asked.answer


def accuracies(model: clew.Model, n: int) -> dict[str, float]:
    """Right answers, generated, by task and of the table by class."""
    g = torch.Generator().manual_seed(3)
    asked = {task: drawn(task, n, g) for task in PLANTED}
    right = {task: told(model, some) for task, some in asked.items()}
    by_class = {f"table c{c}": right["table"][asked["table"].noted == c] for c in range(CLASSES)}
    return {name: float(r.float().mean()) for name, r in (right | by_class).items() if name != "table"}


def edited(model: clew.Model, n: int) -> dict[str, dict[str, float]]:
    """Right answers without one unit, in every position and at every token that is written."""
    view = model.components(experts=True)
    units = [f"expert.1/{e}" for e in range(EXPERTS)] + [f"head.1/{h}" for h in range(HEADS)] + ["mixer.2/0"]
    found = {"none": accuracies(view, n)}
    for unit in units:
        site, _, number = unit.partition("/")
        off = Scale(site, factor=0.0, units=(int(number),), basis="code")
        found[unit] = accuracies(view.edited(off), n)
    return found


def marked(mark: int, n: int, seed: int) -> Asked:
    """Prompts whose last mark is this one."""
    asked = drawn("latest", 8 * n, torch.Generator().manual_seed(seed))
    chosen = (asked.noted == mark).nonzero()[:n, 0]
    return Asked("latest", asked.tokens[chosen], asked.noted[chosen], asked.rest[chosen])


def steered(model: clew.Model, n: int) -> dict[str, float]:
    """The share of prompts with mark 0 of which the model says mark 1: as it is, steered at mixer.2, and at random."""
    sides = tuple([said(tokens) for tokens in marked(mark, n, 4).tokens] for mark in (1, 0))
    last = clew.Steer(where=clew.Where.at(-1))
    stack = clew.edit(model, sides, by="mean_difference", sites=["mixer.2"], steer=last)
    (add,) = cast(tuple[clew.Add], tuple(stack))
    noise = torch.randn(add.vector.shape, generator=torch.Generator().manual_seed(0))
    random = replace(add, vector=noise * add.vector.norm() / noise.norm())
    held = marked(0, n, 5)
    wanted = Asked("latest", held.tokens, held.noted + 1, held.rest)
    views = {"as it is": model, "steered": model.edited(stack), "random": model.edited(random)}
    return {name: float(told(view, wanted).float().mean()) for name, view in views.items()}


def dictionary(model: clew.Model, n: int, steps: int) -> dict[str, Any]:
    """Learn a dictionary of what the mixer of block 2 writes, and find the task in its units."""
    texts = [said(tokens) for tokens in drawn("latest", 16 * n, torch.Generator().manual_seed(6)).tokens]
    windows = clew.cut(texts, model.tokenizer, packing="documents", skip=0)
    with TemporaryDirectory() as place:
        store = clew.record(model, windows, sites=["mixer.2"], to=Path(place) / "states")
        plan = clew.Plan("topk", "mixer.2", options={"units": 32, "k": 2})
        (made,) = clew.train(store, [plan], to=Path(place) / "made", steps=steps, batch=256)
        view, asked = model.through(made), behaviour("latest", n)
    some = drawn("latest", n, torch.Generator().manual_seed(7))
    code = view.run(some.tokens, read=["mixer.2"], logits=0).code("mixer.2")[:, -1]
    fires = torch.stack([(code[some.noted == mark] != 0).float().mean(0) for mark in range(MARKS)])
    own = fires.argmax(1)
    found = clew.find(view, asked)
    units = found.keep(found.unit >= 0).top(MARKS + 2)
    off = Scale("mixer.2", factor=0.0, units=(int(own[0]),), basis="code")
    without = told(view.edited(off), some)
    return {
        "fires": {f"m{mark}": [int(own[mark]), float(fires[mark, own[mark]])] for mark in range(MARKS)},
        "circuit": {node.address: node.score for node in units},
        "units alone": valued(clew.verify(view, asked, units, ablation=clew.Ablation("patch", errors="remove"))),
        "random units": valued(clew.verify(view, asked, units, by="controls", ablation=PATCH, draws=50)),
        "right without the unit of m0": [float(without[some.noted == mark].float().mean()) for mark in range(MARKS)],
    }


def table(rows: list[list[Any]]) -> str:
    """Markdown, the first row its head; numbers to two places."""
    cells = [[f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join([lines[0], "|---" * len(cells[0]) + "|", *lines[1:]])


def main(folder: Path, *, steps: int, n: int, tiny: bool) -> dict[str, Any]:
    """All that is measured; prints as it goes."""
    started, made = time.process_time(), dict[str, Any]()
    if not (folder / "config.json").exists():
        module = trained(tuple(PLANTED), steps=steps)
        module.save_pretrained(folder)
        tokenizer().save_pretrained(folder)
        made["training"] = {"steps": steps, "CPU-seconds": time.process_time() - started}
    module = JambaForCausalLM.from_pretrained(folder).eval()
    made["truth"] = {task: counted(module, task, sets=subsets()[:: 997 if tiny else 1]) for task in PLANTED}
    print(table([["task", "sets", "as planted"], *([t, v["sets"], v["as planted"]] for t, v in made["truth"].items())]))
    model = clew.open(folder)
    made["searches"] = {task: searched(model, task, n) for task in PLANTED}
    rows = [
        [
            task,
            by,
            v["recovered"]["AUROC nodes"],
            v["least true"],
            v["most other"],
            v["recovered"].get("AUROC edges", ""),
        ]
        for task, of in made["searches"].items()
        for by, v in of["searches"].items()
    ]
    print(table([["task", "search", "AUROC of parts", "least planted", "most other", "AUROC of edges"], *rows]))
    columns = ("faithfulness", "completeness")
    rows = [
        [task, kind, *(of[kind][f"{column}{' random' * (kind == 'random nodes')}"][0] for column in columns)]
        for task, of in made["searches"].items()
        for kind in ("nodes", "random nodes", "edges")
    ]
    print(table([["task", "what was planted", *columns], *rows]))
    made["places"] = placed_right(model, n)
    made["experts"] = experts_of(model, n)
    made["without"] = edited(model, n)
    print(
        table(
            [
                ["without", *made["without"]["none"]],
                *([unit, *right.values()] for unit, right in made["without"].items()),
            ]
        )
    )
    made["steered"] = steered(model, n)
    made["dictionary"] = dictionary(model, n, 40 if tiny else 800)
    return made | {"CPU-seconds": time.process_time() - started}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="few steps and prompts; nothing is written")
    parser.add_argument("--model", type=Path, help="keep the trained model in this folder, or take it from there")
    given = parser.parse_args()
    steps, n = (20, 8) if given.tiny else (STEPS, 64)
    with TemporaryDirectory() as place:
        found = main(given.model or Path(place), steps=steps, n=n, tiny=given.tiny)
    if not given.tiny:
        write_json(RESULT, jsonable(found))
