"""Small models with random weights large enough that attention and MLPs matter, and a tokenizer of a few words."""

import importlib
import pkgutil

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from clew.dictionaries.relu import ReLU
from clew.models import Model, architectures
from clew.models.architecture import Architecture
from clew.models.body import Body

FAMILIES = sorted(module.name for module in pkgutil.iter_modules(architectures.__path__))
WORDS = "the a nurse doctor king queen said that she he was not very good old man woman . , and to of in red".split()


def record(family: str) -> Architecture:
    return importlib.import_module(f"{architectures.__name__}.{family}").ARCHITECTURE


def sharp(module: PreTrainedModel, factor: float = 8.0) -> PreTrainedModel:
    """Scale up every matrix: at their initial size, heads and MLPs of a tiny model hardly move the logits."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in module.parameters():
            if p.ndim > 1:
                p.mul_(factor)
            else:
                p.add_(0.1 * torch.randn(p.shape, generator=generator).to(p))
    return module.eval()


def module_of(family: str = "llama", dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    torch.manual_seed(0)
    return sharp(record(family).tiny()).to(dtype)


def model_of(family: str = "llama", dtype: torch.dtype = torch.float32) -> Model:
    """A tiny model of a family, unchecked, with the tokenizer of a few words."""
    return Model(Body(module_of(family, dtype), word_tokenizer(), f"tiny {family}"))


def word_tokenizer() -> PreTrainedTokenizerFast:
    """One token a word, from id 3 on; <pad>, <eos> and <unk> are 0, 1 and 2; nothing is added to a prompt."""
    vocab = {word: i for i, word in enumerate(["<pad>", "<eos>", "<unk>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")


TALK = [{"role": "user", "content": "the old king"}]
"""A chat of one message, as users give it."""


def chatting_tokenizer(adds: bool = True, writes: bool = True) -> PreTrainedTokenizerFast:
    """The words, a start token that the tokenizer adds itself, and a chat template that writes it too; or not."""
    tokenizer = word_tokenizer()
    tokenizer.add_special_tokens({"bos_token": "<bos>"})
    if adds:
        only = [("<bos>", tokenizer.bos_token_id)]
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing("<bos> $A", special_tokens=only)
    turns = "{% for m in messages %} , {{ m.content }} <eos>{% endfor %}{% if add_generation_prompt %} .{% endif %}"
    tokenizer.chat_template = ("<bos>" if writes else "") + turns
    return tokenizer


def chatting(adds: bool = True, writes: bool = True) -> Model:
    """A tiny model with that tokenizer."""
    return Model(Body(module_of(), chatting_tokenizer(adds, writes), "tiny chat"))


def prompts(batch: int = 2, seq: int = 7, seed: int = 0) -> torch.Tensor:
    """Random token ids that every tiny model knows."""
    return torch.randint(3, 90, (batch, seq), generator=torch.Generator().manual_seed(seed))


def relu_dictionary(
    model: Model, site: str, writes: str | None = None, units: int = 48, dtype: torch.dtype = torch.float32
) -> ReLU:
    """A random dictionary of which about half of the units are on at a position."""
    generator = torch.Generator().manual_seed(len(site))
    d_in, d_out = model.body.widths[model.body.site(site)], model.body.widths[model.body.site(writes or site)]
    draw = {
        "W_enc": torch.randn(d_in, units, generator=generator) / d_in**0.5,
        "b_enc": torch.randn(units, generator=generator) * 0.1,
        "W_dec": torch.randn(units, d_out, generator=generator) / units**0.5,
        "b_dec": torch.randn(d_out, generator=generator) * 0.1,
    }
    return ReLU(site, writes, centred=False, **{name: t.to(dtype) for name, t in draw.items()})
