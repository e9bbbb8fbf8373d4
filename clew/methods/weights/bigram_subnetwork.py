"""Bigram subnetwork: the few weights with which a model predicts the next token from the current one alone.

Source: Chang & Bergen 2025 (arXiv:2504.15471): masks over the weights of the blocks, trained until what is left predicts
as a bigram model does. Differs: the masks are hard concrete, and their number is held to a target, as for Edge
Pruning, where the paper sharpens sigmoids.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.func import functional_call

from clew.circuits.circuit import ANYWHERE, Circuit
from clew.circuits.kind import Kind
from clew.data.text.windows import WindowBatch, Windows
from clew.files import check_whole, whole
from clew.methods._masked import mask_like
from clew.methods._masks import Masked, Price, Schedule, count, learn
from clew.models import Model
from clew.models.state import state
from clew.progress import Tell
from clew.sites import Site
from clew.tensors import check_flags, check_held, read_tensors, write_tensors

FORMAT = "clew weight masks"


def bigram_subnetwork(
    model: Model,
    text: Windows,
    *,
    keep: float | int = 0.02,
    held_out: Windows | None = None,
    to: str | Path | None = None,
    smoothing: float = 1.0,
    schedule: Schedule = Schedule(steps=300),
    price: Price = Price(),
    tokens: int = 512,
    seed: int = 0,
    progress: Tell | None = None,
) -> Circuit:
    """Masks over every matrix of the blocks, so that the weights left predict the next token as a bigram model does.

    Embedding, unembedding, norms and biases stay as they are. The loss is KL(bigram || masked model), averaged over
    the positions that count; weights are multiplied by masks on the way into a run and never changed.

    Args:
        text: what bigrams are counted in and the masks are trained on.
        keep: how many weights shall stay, or which share.
        held_out: text on which r is measured; `text` itself when None.
        to: a .safetensors file for the masks, by parameter name; `load_masks` reads it.
        smoothing: how many counts of the unigram distribution are added to each token's counts.
        schedule, price, seed, progress: as for `edge_pruning`. tokens: in one batch.

    Returns: a Circuit with a node for the attention and one for the MLP of each layer; a score is the share of its
    weights kept, not an effect. `details["bigrams"]` holds the counts, and r and the loss of the masked and the whole
    model: r is the correlation of the surprisals of the actual next tokens with those of the bigram model.
    Raises: ValueError for a model with edits in force, or text without pairs of tokens; Stopped at an interrupt.
    Costs: a forward and a backward through all weights a step; memory of six numbers a weight.
    """
    if model.edits:
        raise ValueError(
            f"{model.name} has {len(model.edits)} edits in force, which masks over weights would not see; "
            "give the model without them"
        )
    model.body.check_causal("bigram_subnetwork")
    logits = model.run(text.flat[None, :1].long(), logits=1).logits
    assert logits is not None
    bigrams = Bigrams(text, logits.shape[-1], smoothing)
    masked = MaskedWeights(model, text, bigrams, tokens, seed)
    circuit, log_alpha = learn(
        masked,
        keep=keep,
        schedule=schedule,
        price=price,
        seed=seed,
        progress=progress,
    )
    wanted = count(keep, masked.items)
    best = torch.zeros_like(log_alpha)
    best[log_alpha.argsort(descending=True, stable=True)[:wanted]] = 1
    if to is not None:
        save_masks(to, masked.split(best.bool()), model)
    batches = list((held_out or text).batches(tokens))
    numbers = {
        "weights": masked.items,
        "kept": wanted,
        "loss": circuit.details["masks"]["loss"],
        "r": masked.agreement(best, batches),
        "loss of the whole model": masked.whole_loss(torch.ones_like(best)),
        "r of the whole model": masked.agreement(torch.ones_like(best), batches),
    }
    return masked.circuit(best.double()).with_details(bigrams=numbers)


class Bigrams:
    """P(next | current), counted in text and smoothed with the distribution of single tokens."""

    def __init__(self, text: Windows, vocab: int, smoothing: float) -> None:
        if smoothing < 0:
            raise ValueError(f"smoothing={smoothing}: give how many counts to add, 0 or more")
        last = torch.zeros(len(text.flat), dtype=torch.bool)
        last[text.starts + text.lengths - 1] = True
        current, following = text.flat[:-1][~last[:-1]].long(), text.flat[1:][~last[:-1]].long()
        if not len(current):
            raise ValueError("this text has no two tokens in a row; cut it into longer windows")
        pairs, self.counts = torch.unique(current * vocab + following, return_counts=True)
        self.following = pairs % vocab
        self.starts = torch.searchsorted(pairs, torch.arange(vocab + 1) * vocab)
        single = torch.bincount(following, minlength=vocab)
        self.single, self.smoothing = single / single.sum(), smoothing

    def rows(self, tokens: Int[Tensor, " position"]) -> Float[Tensor, "position vocab"]:
        """The distribution after each of these tokens; that of single tokens after one that was never followed."""
        tokens = tokens.cpu()
        first, sizes = self.starts[tokens], self.starts[tokens + 1] - self.starts[tokens]
        row = torch.arange(len(tokens)).repeat_interleave(sizes)
        place = torch.arange(len(row)) + (first - sizes.cumsum(0) + sizes).repeat_interleave(sizes)
        table = (self.smoothing * self.single).repeat(len(tokens), 1)
        table[row, self.following[place]] += self.counts[place]
        table[sizes == 0] += self.single
        return table / table.sum(1, keepdim=True)


class MaskedWeights(Masked):
    """Every weight of every matrix of the blocks, times its mask; a token of text is an example."""

    def __init__(self, model: Model, text: Windows, bigrams: Bigrams, tokens: int, seed: int) -> None:
        self.model, self.bigrams = model, bigrams
        self.text = [batch for batch in text.batches(tokens) if bool(batch.keep.any())]
        self.sites = matrices(model)
        parameters = dict(model.body.module.named_parameters())
        self.shapes = {name: parameters[name].shape for name in self.sites}
        counted = [int(batch.keep.sum()) for batch in self.text]
        super().__init__(counted, sum(s.numel() for s in self.shapes.values()), mask_like(model), seed)

    def split(self, mask: Tensor) -> dict[str, Tensor]:
        """A flat mask by parameter."""
        parts = mask.split([shape.numel() for shape in self.shapes.values()])
        return {name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}

    def _logs(self, batch: WindowBatch, mask: Tensor) -> Float[Tensor, "batch seq vocab"]:
        body = self.model.body
        ids, real = batch.ids.to(body.device), batch.real.to(body.device)
        weights = masked_weights(self.model, self.split(mask))
        with state(body.module) as held:
            held.parameters(body.module, weights)
            arguments = {"input_ids": ids, "use_cache": False} | body.mask_arguments(real, ids)
            logits = functional_call(body.module, weights, (), arguments).logits
        return logits.to(self.like.dtype).log_softmax(-1)

    def losses(self, batch: int, mask: Float[Tensor, "sample item"]) -> Float[Tensor, "sample example"]:
        some = self.text[batch]
        p = self.bigrams.rows(some.ids[some.keep]).to(self.like)
        keep = some.keep.to(self.like.device)
        logs = torch.stack([self._logs(some, one)[keep] for one in mask])
        return torch.xlogy(p, p).sum(-1) - (p * logs).sum(-1)

    def agreement(self, mask: Float[Tensor, " item"], batches: list[WindowBatch]) -> float:
        """Correlation of the surprisals of the tokens that follow with those of the bigram model."""
        ours, theirs = [], []
        for some in batches:
            counts = some.keep[:, :-1] & some.real[:, 1:]
            following = some.ids[:, 1:][counts][:, None]
            with torch.no_grad():
                logs = self._logs(some, mask)[:, :-1][counts.to(self.like.device)].cpu()
            ours.append(logs.gather(1, following))
            theirs.append(self.bigrams.rows(some.ids[:, :-1][counts]).log().gather(1, following))
        pair = torch.cat([torch.cat(ours), torch.cat(theirs).to(ours[0])], dim=1).T
        seen = pair.isfinite().all(0)  # without smoothing, a pair that the counted text lacks has no finite surprisal
        return float(torch.corrcoef(pair[:, seen])[0, 1])

    def circuit(self, score: Float[Tensor, " item"]) -> Circuit:
        sites = tuple(sorted(set(self.sites.values())))
        sums = {site: np.zeros(2) for site in sites}
        for name, part in self.split(score).items():
            sums[self.sites[name]] += (float(part.sum()), part.numel())
        kept, whole = np.array([sums[site] for site in sites]).T
        found = Circuit(
            sites,
            dict.fromkeys(sites, 1),
            site=np.arange(len(sites)),
            unit=np.zeros(len(sites), np.int64),
            position=np.full(len(sites), ANYWHERE),
            score=kept / whole,
            patch_mean=np.full(len(sites), np.nan),
            kind=Kind("weights", in_metric_units=False),
        )
        return found.with_details(weights={str(s): int(n) for s, n in zip(sites, whole, strict=True)})


def matrices(model: Model) -> dict[str, Site]:
    """The matrices of every block by parameter name, and whether they are its attention's or its MLP's."""
    layout, found = model.body.layout, {}
    for name, parameter in model.body.module.named_parameters():
        layer, _, inside = name.removeprefix(f"{layout.blocks}.").partition(".")
        if parameter.ndim > 1 and name.startswith(f"{layout.blocks}.") and layer.isdigit():
            owners = [p.kind for p in layout.parts[int(layer)] if p.kind != "mlp" and inside.startswith(f"{p.reads}.")]
            found[name] = Site(owners[0] if owners else "mlp", int(layer))
    return found


def masked_weights(model: Model, masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The masked parameters by name, for `torch.func.functional_call(model.body.module, ...)`."""
    parameters = dict(model.body.module.named_parameters())
    return {name: parameters[name].detach() * mask.to(parameters[name]) for name, mask in masks.items()}


def save_masks(path: str | Path, masks: Mapping[str, Bool[Tensor, "..."]], model: Model) -> Path:
    """Write masks by parameter name to one safetensors file, with the fingerprint of the weights they are for."""
    tensors = {name: mask.cpu().contiguous() for name, mask in masks.items()}
    about = {"format": FORMAT, "model": model.name, "weights": model.body.fingerprint}
    return write_tensors(path, tensors, about)


def load_masks(path: str | Path, model: Model) -> dict[str, Bool[Tensor, "..."]]:
    """Read what `save_masks` wrote. Raises: ValueError for another file, or masks of other weights."""
    with whole(path, "file of masks"):
        tensors, about = read_tensors(path)
        if about.get("format") != FORMAT:
            raise ValueError(f"{path} holds {about.get('format', 'other tensors')!r}; {FORMAT!r} were expected")
        check_whole(about, ("format", "model", "weights"), f"the head of {path}")
        if about["weights"] != model.body.fingerprint:
            raise ValueError(
                f"the masks in {path} are for the weights of {about['model']}, not for those of {model.name}"
            )
        parameters = dict(model.body.module.named_parameters())
        check_held(tensors, matrices(model), str(path))
        check_flags(tensors, str(path))
        for name, mask in tensors.items():
            if mask.shape != parameters[name].shape:
                raise ValueError(f"the mask of {name} in {path} is {list(mask.shape)}, which is not as its weights")
        return tensors
