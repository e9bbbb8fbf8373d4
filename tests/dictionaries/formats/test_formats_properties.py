"""Random dictionaries of the types that are trained most, in every format that can hold them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clew.dictionaries import Dictionary
from clew.dictionaries.jumprelu import JumpReLU
from clew.dictionaries.relu import ReLU
from clew.dictionaries.topk import TopK
from tests.drawn import JSON, TEXT

ENDS = st.sampled_from([("resid.3", None), ("mlp_in.2", "mlp.2"), ("attn.0", None)])

FOLDERS = {"resid.3": "layers.3", "mlp.2": "layers.2.mlp", "attn.0": "layers.0.self_attn"}
"""What sparsify calls the folders of these sites; to others it is all one."""


@st.composite
def dictionaries(draw: st.DrawFn, dtypes: tuple[torch.dtype, ...] = (torch.float32,)) -> Dictionary:
    """ReLU, TopK or JumpReLU, from 1 to 4 dimensions and units, with rows of zeros among them, and any meta."""
    d, units, dtype = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.sampled_from(dtypes))
    g = torch.Generator().manual_seed(draw(st.integers(0, 999)))
    scale = draw(st.sampled_from([0.0, 1e-3, 1.0, 1e3]))
    shapes = {"W_enc": (d, units), "b_enc": (units,), "W_dec": (units, d), "b_dec": (d,)}
    given = {name: (scale * torch.randn(shape, generator=g)).to(dtype) for name, shape in shapes.items()}
    reads, writes = draw(ENDS)
    given |= {"centred": draw(st.booleans()) and writes is None}
    given |= draw(st.dictionaries(TEXT, JSON, max_size=2))
    kind = draw(st.sampled_from([ReLU, TopK, JumpReLU]))
    if kind is TopK:
        return TopK(reads, writes, k=draw(st.integers(1, units)), **given)
    if kind is JumpReLU:
        return JumpReLU(reads, writes, threshold=torch.rand(units, generator=g).to(dtype), **given)
    return ReLU(reads, writes, **given)


def same(one: Dictionary, two: Dictionary) -> bool:
    """Whether two dictionaries are of one type and one place and hold the same bits."""
    return type(one) is type(two) and one.settings == two.settings and one.fingerprint == two.fingerprint


@given(dictionaries((torch.float32, torch.float64)))
def test_ours_comes_back_to_the_bit(tmp_path, dictionary):
    (found,) = Dictionary.load(dictionary.save(tmp_path / "one.safetensors"))
    assert same(found, dictionary) and found.meta == dictionary.meta


@given(dictionaries())
def test_a_pack_of_what_came_from_a_pack_is_the_same(tmp_path, dictionary):
    (once,) = Dictionary.load(dictionary.save(tmp_path / "one.pack.safetensors", format="pack"))
    (twice,) = Dictionary.load(once.save(tmp_path / "two.pack.safetensors", format="pack"))
    assert same(once, twice) and once.meta == dictionary.meta and once.settings == dictionary.settings
    for name, tensor in dictionary.named_buffers():
        held = dict(once.named_buffers())[name]
        assert (
            torch.equal(held, tensor)
            if tensor.ndim == 1
            else torch.allclose(held, tensor, rtol=0, atol=float(tensor.abs().max()) / 100)
        )


@pytest.mark.parametrize("format", ["saelens", "sparsify"])
@given(dictionaries())
def test_formats_of_others_give_the_same_codes(tmp_path_factory, format, dictionary):
    folder = tmp_path_factory.mktemp(format) / FOLDERS[str(dictionary.writes)]
    try:
        dictionary.save(folder, format=format)
    except ValueError as error:  # not every type at every site is one of theirs
        assert "save" in str(error) and not folder.exists()
        assert format == "sparsify" or dictionary.spans_sites
        return
    (found,) = Dictionary.load(folder)
    x = torch.randn(6, dictionary.d_in, generator=torch.Generator().manual_seed(1))
    assert (found.reads, found.writes) == (dictionary.reads, dictionary.writes)
    assert torch.equal(found.W_dec, dictionary.W_dec) and torch.equal(found.b_dec, dictionary.b_dec)
    if format == "saelens":
        assert torch.equal(found.encode(x), dictionary.encode(x))
    else:  # there the bias of the decoder is folded into that of the encoder, and rounded
        rounded = 1e-5 + 1e-6 * float((dictionary.b_dec.abs() @ dictionary.W_enc.abs()).max())
        assert torch.allclose(found.encode(x), dictionary.encode(x), rtol=1e-5, atol=rounded)
