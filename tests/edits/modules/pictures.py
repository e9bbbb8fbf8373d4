"""What a text-to-image pipeline is made of, tiny and random: text encoders, their tokenizer, and modules that paint."""

from typing import Any

import torch
from tokenizers import processors
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import BertConfig, BertModel, CLIPConfig, CLIPModel, CLIPTextModel, T5Config, T5EncoderModel

from tests.models.tiny import sharp, word_tokenizer

F64 = torch.float64
LONG, WIDE = 14, 32
"""Of a text: tokens, and numbers for each."""


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def clip_tokenizer() -> Any:
    """Starts, ends and pads as CLIP's does."""
    tokenizer = word_tokenizer()
    tokenizer.add_special_tokens({"bos_token": "<bos>", "eos_token": "<end>"})
    tokenizer.pad_token, tokenizer.model_max_length = "<end>", LONG
    ends = [("<bos>", tokenizer.bos_token_id), ("<end>", tokenizer.eos_token_id)]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing("<bos> $A <end>", special_tokens=ends)
    return tokenizer


def clip() -> tuple[CLIPModel, Any]:
    """A random CLIP, whose matrices are large enough that words matter to the text's embedding, 12 wide."""
    tokenizer = clip_tokenizer()
    torch.manual_seed(1)
    sizes = {"hidden_size": WIDE, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
             "attention_dropout": 0.1}  # fmt: skip
    text = {"vocab_size": len(tokenizer), "max_position_embeddings": LONG, "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}  # fmt: skip
    config = CLIPConfig(
        text_config={**sizes, **text}, vision_config={**sizes, "image_size": 8, "patch_size": 4}, projection_dim=12
    )
    return sharp(CLIPModel(config), 2.0).double(), tokenizer


def text_encoder() -> tuple[CLIPTextModel, Any]:
    """The part of it that stands in a pipeline."""
    module, tokenizer = clip()
    return module.text_model, tokenizer


def t5() -> tuple[T5EncoderModel, Any]:
    """A random T5 encoder, which has relative positions and no pooled output."""
    tokenizer = word_tokenizer()
    tokenizer.model_max_length = LONG
    ends = [("<eos>", tokenizer.eos_token_id)]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing("$A <eos>", special_tokens=ends)
    torch.manual_seed(0)
    config = T5Config(vocab_size=len(tokenizer), d_model=WIDE, d_kv=8, d_ff=24, num_layers=2, num_heads=2)
    return T5EncoderModel(config).double().eval(), tokenizer


def bert() -> tuple[BertModel, Any]:
    """A random BERT, in which every token reads those behind it too."""
    tokenizer = clip_tokenizer()
    torch.manual_seed(2)
    config = BertConfig(vocab_size=len(tokenizer), hidden_size=WIDE, intermediate_size=24, num_hidden_layers=2,
                        num_attention_heads=2, max_position_embeddings=LONG)  # fmt: skip
    return sharp(BertModel(config), 8.0).double(), tokenizer


class Attention(nn.Module):
    """Two heads, under the names of diffusers."""

    def __init__(self, width: int, reads: int) -> None:
        super().__init__()
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k, self.to_v = nn.Linear(reads, width, bias=False), nn.Linear(reads, width, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(width, width), nn.Dropout(0.0)])

    def forward(self, x: Tensor, read: Tensor) -> Tensor:
        q, k, v = (
            map(y).unflatten(-1, (2, -1)).transpose(1, 2)
            for map, y in ((self.to_q, x), (self.to_k, read), (self.to_v, read))
        )
        return self.to_out[0](scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.ff = nn.LayerNorm(12), nn.Linear(12, 12)
        self.attn1, self.attn2 = Attention(12, 12), Attention(12, WIDE)

    def forward(self, x: Tensor, text: Tensor) -> Tensor:
        x = x + self.attn1(self.norm(x), self.norm(x))
        x = x + self.attn2(self.norm(x), text)
        return x + self.ff(self.norm(x)).relu()


class Painter(nn.Module):
    """A U-Net in small, as Stable Diffusion's: its cross-attentions, `attn2`, read the text, all else what is painted."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        part = lambda: nn.ModuleDict({"transformer_blocks": nn.ModuleList([Block()])})  # noqa: E731
        self.down_blocks = nn.ModuleList([nn.ModuleDict({"attentions": nn.ModuleList([part()])}) for _ in range(2)])
        self.double()

    def forward(self, text: Tensor) -> Tensor:
        """What it makes of six given pixels and a text, [seq d_model]."""
        x = draw(1, 6, 12)
        for block in self.modules():
            x = block(x, text[None]) if isinstance(block, Block) else x
        return x


class Joint(nn.Module):
    """A transformer in small, as FLUX's: one map alone reads the text; from there on text and picture are one sequence."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.context_embedder, self.attn = nn.Linear(WIDE, 12), Attention(12, 12)
        self.double()

    def forward(self, text: Tensor) -> Tensor:
        x = torch.cat([self.context_embedder(text), draw(6, 12)])[None]
        return x + self.attn(x, x)
