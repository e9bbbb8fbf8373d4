"""What a map of a text encoder shall give at a subject, so that the words mean what an image shows: ReFACT's search.

A vector δ is added to what the map gives at the subject's last token, and learnt by gradient so that of some candidates the
text comes to lie nearest to the target. CLIP's embeddings of images and of texts share one space, so candidates may be
either: `get_image_features` of a photograph of a palm, or `embedded` of "a palm".

Source: Arad et al. 2024, arXiv:2306.00738, the contrastive objective. Differs: several targets are averaged, where the
published code adds them up; weight decay is |δ|² / |v|², not |δ| / |v|²; similarities are cosines, where the code also
knows distances; the frames are TIME's, where the code has nine for portraits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize

from clew.data.facts.spans import last_of
from clew.edits._target import Descent, Target
from clew.edits.modules._modules import FRAMES, key_of, last_words, linear_at, tapped, tokens

__all__ = ["USUAL", "embedded", "learn_value"]

USUAL = Descent(steps=100, lr=0.5, clamp=4.0, kl_weight=0.05, weight_decay=0.1)


@torch.enable_grad()
def learn_value(
    encoder: nn.Module,
    prompt: str,
    subject: str,
    targets: Float[Tensor, "target d"],
    others: Float[Tensor, "other d"],
    *,
    tokenizer: Any,
    at: str,
    retain: Sequence[str] = (),
    frames: Sequence[str] = FRAMES,
    scale: float | None = None,
    descent: Descent = USUAL,
) -> Target:
    """v* for `refact`, by Adam from what the map gives now.

    The loss is the mean over framed prompts and targets of -log softmax of the similarity to {this target, all others},
    plus `kl_weight` KL(now ‖ before) over all candidates of each kept prompt, in which δ stands at the last word, plus
    `weight_decay` |δ|² / |v|². After each step δ is brought back to |δ| <= clamp |v|.

    Args:
        encoder: transformers' CLIPModel, CLIPTextModelWithProjection, or any other that gives `text_embeds` or a
            `pooler_output` as wide as the candidates.
        prompt, subject: words, and which of them the fact is about.
        targets: embeddings of what the words shall mean; any norm.
        others: of what they shall not mean: what they mean now, and other things of the kind.
        at: dotted path of the map in `encoder`, such as "text_model.encoder.layers.4.mlp.fc2".
        retain: prompts that shall stay as near to each candidate as they are.
        frames: the prompt is put into each.
        scale: of the cosines; by default the encoder's own exp(logit_scale), or 100, CLIP's, for one without.
        descent: the search; it ends when the first part of the loss is below `enough`. 10 steps in the published settings.

    Returns: a Target. `wanted` is v*, `nll` the first part of the loss with it, in nats, mean over frames and targets.
    Raises: ValueError for candidates of another width or none, a subject that is not in the prompt, a path that is no
        linear map, or an encoder that gives no embedding of a text.

    >>> from string import ascii_lowercase as letters
    >>> from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer
    >>> from clew.edits.modules.refact import edited, refact
    >>> words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    >>> tokenizer = CLIPTokenizer(vocab={word: i for i, word in enumerate(words)}, merges=[])
    >>> config = CLIPTextConfig(vocab_size=54, bos_token_id=52, eos_token_id=53, hidden_size=16, num_hidden_layers=2,
    ...                         num_attention_heads=2, intermediate_size=24, projection_dim=16, initializer_factor=3.0)
    >>> _ = torch.manual_seed(0)
    >>> encoder, images = CLIPTextModelWithProjection(config), torch.randn(3, 16)
    >>> fact = {"prompt": "the old king", "subject": "king", "tokenizer": tokenizer}
    >>> fact["at"] = "text_model.encoder.layers.0.mlp.fc2"
    >>> found = learn_value(encoder, targets=images[:1], others=images[1:], **fact)
    >>> found.nll < 0.05
    True
    >>> new = edited(encoder, refact(encoder, value=found.wanted, **fact))
    >>> said = [embedded(module, ["the old king"], tokenizer=tokenizer) for module in (encoder, new)]
    >>> [int(torch.cosine_similarity(text, images).argmax()) for text in said]
    [1, 0]
    """
    _check(encoder, tokenizer, targets, others)
    texts = [*(frame.format(prompt) for frame in frames), *retain]
    places = [last_of(tokenizer, text, subject) for text in texts[: len(frames)]]
    v = linear_at(encoder, at)(key_of(encoder, prompt, subject, tokenizer=tokenizer, at=at)).detach()
    similarity = _Similarity(encoder, tokenizer, at, texts, places, torch.cat([targets, others]), scale)
    delta = torch.zeros_like(v, dtype=similarity.dtype, requires_grad=True)
    before = similarity(delta).detach().log_softmax(-1)[len(frames) :]
    optimiser = torch.optim.Adam([delta], lr=descent.lr)
    for step in range(descent.steps + 1):
        asked, kept = similarity(delta).tensor_split([len(frames)])
        wanted, unwanted = asked.tensor_split([len(targets)], dim=-1)
        nll = (torch.logaddexp(wanted, unwanted.logsumexp(-1, keepdim=True)) - wanted).mean()
        if nll < descent.enough or step == descent.steps:
            break
        loss = nll + descent.weight_decay * delta.square().sum() / v.square().sum()
        if retain:
            now = kept.log_softmax(-1)
            loss = loss + descent.kl_weight * (now.exp() * (now - before)).sum(-1).mean()
        (delta.grad,) = torch.autograd.grad(loss, [delta])  # and none for the encoder's own parameters
        optimiser.step()
        with torch.no_grad():
            delta *= (descent.clamp * v.norm() / delta.norm().clamp(min=1e-30)).clamp(max=1.0)
    return Target(v.double().cpu(), delta.detach().double().cpu(), float(nll.detach()), step)


def embedded(encoder: nn.Module, texts: Sequence[str], *, tokenizer: Any) -> Float[Tensor, "text d"]:
    """The embedding of each text in the space of images: candidates that are told, not shown. Raises: as `learn_value`."""
    with torch.no_grad():
        return _pooled(encoder, *tokens(encoder, tokenizer, texts))


def _check(encoder: nn.Module, tokenizer: Any, targets: Tensor, others: Tensor) -> None:
    width = embedded(encoder, ["a"], tokenizer=tokenizer).shape[1]
    for name, some in (("targets", targets), ("others", others)):
        if not len(some) or some.shape[1] != width:
            raise ValueError(
                f"{name} of shape {list(some.shape)}: give at least one row, {width} wide as the texts of this "
                f"{type(encoder).__name__}: what `get_image_features` or `embedded` gives"
            )


class _Similarity:
    """How near texts lie to candidates, with a δ added at one place of each; asked again and again with another δ."""

    def __init__(
        self,
        encoder: nn.Module,
        tokenizer: Any,
        at: str,
        texts: Sequence[str],
        places: Sequence[int],
        candidates: Float[Tensor, "candidate d"],
        scale: float | None,
    ) -> None:
        """δ stands at the last word of texts for which no place is given."""
        self.encoder, self.tap = tapped(encoder, at)
        self.ids, self.real = tokens(encoder, tokenizer, texts)
        ends = last_words(self.real)
        ends[: len(places)] = torch.tensor(places).to(ends)
        self.here = (torch.arange(self.ids.shape[1], device=ends.device) == ends[:, None])[..., None]
        self.dtype = torch.promote_types(next(encoder.parameters()).dtype, torch.float32)
        self.candidates = normalize(candidates.detach().to(ends.device, self.dtype), dim=-1)
        own = getattr(encoder, "logit_scale", None)
        self.scale = scale if scale is not None else 100.0 if own is None else float(own.detach().exp())

    def __call__(self, delta: Float[Tensor, " out"]) -> Float[Tensor, "text candidate"]:
        self.tap.more = self.here * delta
        said = normalize(_pooled(self.encoder, self.ids, self.real).to(self.dtype), dim=-1)
        return self.scale * said @ self.candidates.T


def _pooled(encoder: Any, ids: Int[Tensor, "text seq"], real: Bool[Tensor, "text seq"]) -> Float[Tensor, "text d"]:
    """One vector for each text, in the space of images where the encoder has a way there."""
    out = getattr(encoder, "get_text_features", encoder)(input_ids=ids, attention_mask=real.long())
    for name in ("text_embeds", "pooler_output"):
        if getattr(out, name, None) is not None:
            return getattr(out, name)
    raise ValueError(
        f"a {type(encoder).__name__} gives no embedding of a text (text_embeds or pooler_output); "
        "give a CLIPModel or a CLIPTextModelWithProjection"
    )
