"""Causal tracing: which states restore a fact's answer when the model cannot make out the subject.

Noise on the subject's embeddings makes the answer less likely. Some states at one token are then given back the values of
the clean run; by how much the answer becomes likelier is their indirect effect.

Source: Meng et al. 2022, arXiv:2202.05262, section 2. Differs: σ is that of the subjects' own embeddings, and a run
starts at the block below which nothing is restored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from clew.changes import ActivationEdit, Set
from clew.data.facts.facts import Fact, Facts, answer_ids, subject_last
from clew.data.facts.spans import token_of
from clew.models import Model, Trace
from clew.progress import Tell
from clew.sites import Site

PLACES = ("subject", "last")
"""Where states are restored: the last token of the subject, and the last of the prompt."""
PARTS = ("mlp", "resid")


@dataclass(frozen=True, eq=False)
class Effects:
    """Indirect effects of restoring each state, in probability of the answer."""

    effect: Float[Tensor, "fact part place layer"]
    """Parts as PARTS, places as PLACES; of `mlp`, the MLPs of a window of layers around this one."""
    clean: Float[Tensor, " fact"]
    """Probability of the answer in the clean run."""
    corrupted: Float[Tensor, " fact"]
    """With the subject made out as noise, mean over samples."""
    window: int
    sigma: float
    """Of the noise."""

    def ranked(self, n: int) -> list[int]:
        """The n layers whose MLPs, restored at the subject's last token, have the largest effect; the largest first."""
        return self.effect[:, 0, 0].mean(0).argsort(descending=True, stable=True)[:n].tolist()


def trace_facts(
    model: Model,
    facts: Facts,
    *,
    window: int | None = None,
    noise: float = 3.0,
    samples: int = 10,
    seed: int = 0,
    progress: Tell | None = None,
) -> Effects:
    """Effects of every layer, for each fact. Costs about one forward of `samples` x 2 prompts per layer and part.

    Args:
        facts: with `old`, whose probability (that of all its tokens) is looked at.
        window: how many layers' MLPs are restored together; a fifth of all by default, as the 10 of 48 in the paper.
        noise: σ of the noise, in standard deviations of the subjects' embeddings.
        samples: of the noise.
        progress: told (facts done, facts).

    Raises: ValueError for a fact without an old answer, or a window, a noise or a number of samples that is none.
    """
    window = max(1, model.n_layers // 5) if window is None else window
    if window < 1 or samples < 1 or not noise > 0:
        raise ValueError(f"window={window}, samples={samples}, noise={noise}: all must be above 0")
    if bare := [f.asked for f in facts if not f.old]:
        raise ValueError(f"{bare[0]!r} has no `old` answer, whose probability tracing looks at; give one")
    model.body.check_causal("tracing a fact")
    posed = [_Posed(model, fact) for fact in facts]
    sigma = noise * float(torch.cat([p.clean[Site("embed")][0][p.subject[0]].flatten() for p in posed]).double().std())
    generator = torch.Generator().manual_seed(seed)
    effects, corrupted = [], []
    for i, one in enumerate(posed):
        effect, damaged = one.effects(window, sigma, samples, generator)
        effects.append(effect)
        corrupted.append(damaged)
        if progress:
            progress(i + 1, len(facts))
    clean = torch.tensor([p.probability(p.clean).item() for p in posed])
    return Effects(torch.stack(effects), clean, torch.tensor(corrupted), window, sigma)


class _Posed:
    """One fact, run clean, with what is restored later."""

    def __init__(self, model: Model, fact: Fact) -> None:
        self.model = model
        prompt, self.answer = answer_ids(model.tokenizer, fact.asked, fact.old)
        self.tokens = torch.tensor([[*prompt, *self.answer[:-1]]], device=model.device)
        start, end = fact.prompt.index("{}"), subject_last(model.tokenizer, fact)
        column = torch.arange(self.tokens.shape[1], device=model.device)
        self.subject = ((column >= token_of(model.tokenizer, fact.asked, start)) & (column <= end))[None]
        self.places = [end, len(prompt) - 1]
        self.layers = range(model.n_layers)
        self.reads = [Site("embed"), *(Site(part, layer) for part in PARTS for layer in self.layers)]
        self.resumes = model.body.resumes
        with torch.no_grad():
            self.clean = model.run(self.tokens, read=self.reads, logits=len(self.answer), record=self.resumes)

    def probability(self, run: Trace) -> Float[Tensor, " row"]:
        """Of the whole answer."""
        assert run.logits is not None
        log_p = run.logits.double().log_softmax(-1)
        wanted = torch.tensor(self.answer, device=log_p.device).expand(len(log_p), -1)
        return log_p.gather(-1, wanted[..., None])[..., 0].sum(-1).exp()

    def effects(
        self, window: int, sigma: float, samples: int, generator: torch.Generator
    ) -> tuple[Float[Tensor, "part place layer"], float]:
        """Indirect effects, and the probability of the answer when nothing is restored."""
        embed = self.clean[Site("embed")]
        noise = torch.randn(samples, *embed.shape[1:], generator=generator).to(embed) * sigma
        damaged = embed + noise * self.subject[..., None]
        run = self._run(samples, [Set("embed", value=damaged)], self.reads)
        corrupted = float(self.probability(run).mean())
        before = {s: run[s].repeat(len(PLACES), 1, 1) for s in self.reads if s.part != "mlp"}
        at = torch.tensor(self.places, device=embed.device).repeat_interleave(samples)
        keep = (torch.arange(embed.shape[1], device=embed.device) != at[:, None])[..., None]
        effect = torch.zeros(len(PARTS), len(PLACES), len(self.layers))
        for layer in self.layers:
            first = max(0, layer - window // 2)
            below = Site("resid", first - 1) if first else Site("embed")
            mlps = [Site("mlp", j) for j in range(first, min(len(self.layers), layer - window // 2 + window))]
            here = Site("resid", layer)
            of_mlps = [Set(below, value=before[below]), *(self._restored(site, keep) for site in mlps)]
            of_stream = [Set(here, value=before[here]), self._restored(here, keep)]
            for part, edits in enumerate((of_mlps, of_stream)):
                p = self.probability(self._run(samples * len(PLACES), edits))
                effect[part, :, layer] = p.view(len(PLACES), samples).mean(1).cpu() - corrupted
        return effect, corrupted

    def _restored(self, site: Site, keep: Bool[Tensor, "row seq 1"]) -> Set:
        """What the clean run held there, but where `keep` is True."""
        return Set(site, value=self.clean[site], keep=keep)

    def _run(self, rows: int, edits: Sequence[ActivationEdit], read: Sequence[Site] = ()) -> Trace:
        base = self.clean if self.resumes else None
        with torch.no_grad():
            tokens = self.tokens.repeat(rows, 1)
            return self.model.run(tokens, read=read, edits=edits, logits=len(self.answer), base=base)
