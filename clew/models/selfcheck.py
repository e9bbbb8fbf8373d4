"""selfcheck: does what the addresses promise hold, by numbers, for the model at hand?

Runs a few short passes of random tokens. Each check is a sentence; what does not hold is refused
later by name, never silently wrong.
"""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor

from clew.changes import ActivationEdit, Add, Scale
from clew.files import cache_folder, check_whole, entries, entry, read_json, spared, write_json
from clew.models.body import Body
from clew.models.run import Visitors, forward
from clew.models.state import state
from clew.models.trace import Trace
from clew.sites import Site, Weight

FORMAT = "clew selfcheck"


@dataclass(frozen=True)
class Finding:
    """One promise and whether it holds."""

    name: str
    promise: str
    holds: bool
    measured: float
    """Largest deviation, relative to the largest value compared; 0 means bit for bit."""
    refused: str = ""
    """What clew refuses to do for this model when the promise does not hold."""

    def __str__(self) -> str:
        size = "exactly" if self.measured == 0 else f"within {self.measured:.1e}"
        if self.holds:
            return f"ok       {self.promise} ({size})"
        return f"REFUSED  {self.promise}: no (off by {self.measured:.1e}). {self.refused}"


@dataclass(frozen=True)
class SelfCheck:
    """All findings on one model."""

    model: str
    fingerprint: str
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        return all(f.holds for f in self.findings)

    @property
    def lines(self) -> list[str]:
        """In words, one line per promise."""
        return [str(f) for f in self.findings]

    def to_json(self) -> dict[str, Any]:
        findings = [asdict(f) for f in self.findings]
        return {"format": FORMAT, "model": self.model, "fingerprint": self.fingerprint, "findings": findings}


def known_refusals(body: Body) -> dict[str, str]:
    """What is refused for this model, from the cache or from a first selfcheck."""
    check = cached_selfcheck(body)
    return {f.name: f.refused for f in check.findings if not f.holds}


def cached_selfcheck(body: Body) -> SelfCheck:
    """selfcheck, once per weights, dtype, device kind and versions; each time where others have put hooks on the module."""
    if _hooks(body):  # which are not in its weights
        return selfcheck(body)
    attention = body.module.config._attn_implementation
    checks = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:8]  # what is promised may change with clew
    versions = f"{transformers.__version__}-{torch.__version__}-{checks}"
    setting = f"{body.fingerprint}-{body.config_hash}-{body.dtype}-{body.device.type}-{attention}-{versions}"
    path = cache_folder("selfcheck") / f"{setting.replace('torch.', '')}.json"
    with spared(), suppress(ValueError):  # damaged, it is as good as not there
        if path.exists():
            return replace(_kept(path), model=body.name)
    check = selfcheck(body)
    with spared():
        write_json(path, check.to_json())
    return check


def _kept(path: Path) -> SelfCheck:
    """What an earlier check found. Raises: ValueError naming the file and the place in it."""
    value, origin = read_json(path, FORMAT), str(path)
    check_whole(value, ("format", "model", "fingerprint", "findings"), origin)
    model, fingerprint = (entry(value, name, str, origin=origin) for name in ("model", "fingerprint"))
    held = enumerate(entries(value, "findings", dict, origin=origin))
    return SelfCheck(model, fingerprint, tuple(_told(finding, f"{origin}: findings[{i}]") for i, finding in held))


def _told(held: Mapping[str, Any], origin: str) -> Finding:
    kinds = {"name": str, "promise": str, "holds": bool, "measured": float, "refused": str}
    check_whole(held, kinds, origin)
    return Finding(**{name: entry(held, name, kind, origin=origin) for name, kind in kinds.items()})


def selfcheck(body: Body, *, seed: int = 0) -> SelfCheck:
    """Check every promise on two random prompts of nine tokens."""
    generator = torch.Generator().manual_seed(seed)
    embedding: Any = body.module.get_input_embeddings()
    vocab = int(embedding.weight.shape[0])
    tokens = torch.randint(3, vocab, (2, 9), generator=generator).to(body.device)
    with state(body.module):
        return SelfCheck(body.name, body.fingerprint, tuple(_findings(body, tokens)))


def _findings(body: Body, tokens: Tensor) -> Iterator[Finding]:
    loose = {torch.float64: 1e-10, torch.float32: 2e-4}.get(body.dtype, 5e-2)
    softmax = max(loose, 1e-6)  # several families take the softmax in float32, also in a float64 model
    with torch.no_grad():
        bare = body.module(input_ids=tokens, use_cache=False).logits
    hooks = _hooks(body)
    trace = _run(body, tokens, read=list(body.taps), record=True)
    assert trace.logits is not None
    yield Finding(
        "exact",
        "reading every site leaves the logits as they are, bit for bit",
        torch.equal(trace.logits, bare),
        _gap(trace.logits, bare),
        "Nothing measured on this model can be trusted",
    )

    stream = [trace["embed"], *(trace[Site("resid", i)] for i in range(body.n_layers))]
    writes = [
        _gap(stream[i] + trace[Site("attn", i)] + trace[Site("mlp", i)], stream[i + 1]) for i in range(body.n_layers)
    ]
    yield _finding(
        "writes",
        "the stream is the embedding plus what attention and MLPs write",
        _worst(writes),
        loose,
        "Sites attn and mlp are not what joins the stream, so circuits over them are refused",
    )
    yield _finding(
        "heads",
        "the heads, through the output projection, are what the attention puts out",
        _worst(_gap(a, b) for a, b in _projected(body, trace, "head", body.record.output)),
        loose,
        "The site head is not what the output projection reads",
    )
    yield _finding(
        "neurons",
        "the neurons, through the output projection, are what the MLP puts out",
        _worst(_gap(a, b) for a, b in _projected(body, trace, "neuron", body.record.down)),
        loose,
        "The site neuron is not what the MLP's output projection reads",
    )
    if Site("pattern", 0) in body.taps:
        yield _finding(
            "pattern",
            "attention probabilities are causal, sum to 1 and mix the values into the heads",
            _worst(_pattern_gap(body, trace, i) for i in range(body.n_layers)),
            softmax,
            "The site pattern is not the attention of this model",
        )
    with torch.no_grad():
        final = body.unembed(trace["final"])
    yield _finding(
        "final",
        "the unembedding of the site final gives the order of the logits",
        1 - float((final.argmax(-1) == bare.argmax(-1)).double().mean()),
        0.0,
        "The site final is not what the unembedding reads",
    )
    yield _finding(
        "weights",
        "the matrices with an address map the sites they read to the sites they write",
        _worst(_map_gap(body, trace, weight) for weight in body.weights("q", "k", "v", "down")),
        loose,
        "Weights are not what their addresses say, so edits of weights are refused",
    )
    yield _finding(
        "edits",
        "an edit at each kind of site changes the logits, and an edit by nothing does not",
        _edit_gap(body, tokens),
        0.0,
        "Edits at some site do not reach the logits",
    )

    half = body.n_layers // 2
    edit = Scale(Site("attn", half), factor=0.5)
    whole, resumed = _run(body, tokens, edits=[edit]), _run(body, tokens, edits=[edit], base=trace)
    assert whole.logits is not None and resumed.logits is not None
    yield Finding(
        "resume",
        "a run that resumes from a recorded pass equals a whole run, bit for bit",
        torch.equal(whole.logits, resumed.logits),
        _gap(whole.logits, resumed.logits),
        "Runs that resume from a recorded pass are refused",
    )
    yield _finding(
        "padding",
        "left padding does not change the last token's logits",
        _padding_gap(body, tokens, bare),
        softmax,
        "Prompts of different length must be run one length at a time",
    )
    yield _finding(
        "cache",
        "logits are the same with and without the key-value cache",
        _cache_gap(body, tokens, bare),
        softmax,
        "Generate with use_cache=False",
    )
    left = _hooks(body) - hooks
    yield Finding("clean", "no hook, stub or setting is left behind", left == 0, float(left), "A hook was left behind")


def _run(
    body: Body, tokens: Tensor, read: list[Site] | None = None, edits: Any = (), keep: int | None = None, **rest: Any
) -> Trace:
    trace = Trace(tokens, torch.ones_like(tokens, dtype=torch.bool))
    visitors = Visitors(body, {}, trace, edits, frozenset(read or ()), prompt=tokens.shape[1])
    return forward(visitors, keep=keep, **rest)


def _finding(name: str, promise: str, measured: float, allowed: float, refused: str) -> Finding:
    return Finding(name, promise, measured <= allowed, measured, refused)


def _gap(a: Tensor, b: Tensor) -> float:
    """Largest difference, relative to the largest value; what is not a number is as far off as can be."""
    gap = float((a - b).abs().max() / b.abs().max().clamp(min=1e-30))
    return gap if math.isfinite(gap) else sys.float_info.max


def _worst(gaps: Iterable[float]) -> float:
    """The largest gap; `max` alone would let a nan pass."""
    return max(gap if math.isfinite(gap) else sys.float_info.max for gap in gaps)


def _projected(body: Body, trace: Trace, part: str, path: str) -> Iterator[tuple[Tensor, Tensor]]:
    """(projection of the site, what the projection put out in the pass), per layer."""
    seen: dict[int, Tensor] = {}

    def keep(layer: int) -> Callable[..., None]:
        return lambda module, args, output: seen.update({layer: output.clone()})

    modules = [block.get_submodule(path) for block in body.blocks]
    with state(body.module) as held, torch.no_grad():
        for i, m in enumerate(modules):
            held.hook(m, keep(i))
        body.module(input_ids=trace.tokens, use_cache=False)
    outputs = dict(seen)
    for layer, module in enumerate(modules):
        x = trace[Site(part, layer)]
        with torch.no_grad():
            yield module(x.reshape(-1, x.shape[-1])).reshape(-1), outputs[layer].reshape(-1)


def _map_gap(body: Body, trace: Trace, address: Weight) -> float:
    linear = body.linear(address)
    assert linear.reads and linear.writes
    return _gap(torch.nn.functional.linear(trace[linear.reads], linear.matrix(), linear.bias), trace[linear.writes])


def _pattern_gap(body: Body, trace: Trace, layer: int) -> float:
    pattern, value = trace[Site("pattern", layer)], trace[Site("v", layer)]
    clip = getattr(body.module.config, "clip_qkv", None)  # OLMo clips the values after their site
    value = value if clip is None else value.clamp(-clip, clip)
    future = float(pattern.triu(1).abs().max())
    rows = float((pattern.sum(-1) - 1).abs().max())
    per_head = value.unflatten(-1, (body.n_kv_heads, -1)).repeat_interleave(body.n_heads // body.n_kv_heads, dim=2)
    mixed = torch.einsum("bhqk,bkhd->bqhd", pattern, per_head).flatten(2)
    return _worst([future, rows, _gap(mixed, trace[Site("head", layer)])])


def _edit_gap(body: Body, tokens: Tensor) -> float:
    """0 when an edit at every part of the first block is felt and an empty edit is not; else 1."""
    bare = _last_logits(body, tokens)
    for site in (s for s in body.taps if s.layer in (None, 0)):
        # Not a scaling: some families norm queries and keys, which would undo it.
        felt = Scale(site, factor=0.5)
        if site.part != "pattern":
            felt = Add(site, vector=torch.linspace(-3, 3, body.widths[site]))
        empty = Scale(site, factor=1.0)
        felt_none = torch.equal(_last_logits(body, tokens, felt), bare)
        if felt_none or not torch.equal(_last_logits(body, tokens, empty), bare):
            return 1.0
    return 0.0


def _last_logits(body: Body, tokens: Tensor, *edits: ActivationEdit) -> Tensor:
    logits = _run(body, tokens, edits=edits, keep=1).logits
    assert logits is not None
    return logits


def _padding_gap(body: Body, tokens: Tensor, bare: Tensor) -> float:
    pad = torch.zeros(len(tokens), 4, dtype=torch.long, device=tokens.device)
    padded = torch.cat([pad, tokens], dim=1)
    trace = Trace(padded, torch.arange(padded.shape[1], device=tokens.device).expand_as(padded) >= 4)
    logits = forward(Visitors(body, {}, trace, prompt=padded.shape[1]), keep=1).logits
    assert logits is not None
    return _gap(logits[:, -1], bare[:, -1])


def _cache_gap(body: Body, tokens: Tensor, bare: Tensor) -> float:
    with torch.no_grad():
        first = body.module(input_ids=tokens[:, :-1], use_cache=True)
        last = body.module(input_ids=tokens[:, -1:], past_key_values=first.past_key_values, use_cache=True)
    return _gap(last.logits[:, -1], bare[:, -1])


def _hooks(body: Body) -> int:
    return sum(
        len(m._forward_hooks) + len(m._forward_pre_hooks) + ("forward" in m.__dict__) for m in body.module.modules()
    )
