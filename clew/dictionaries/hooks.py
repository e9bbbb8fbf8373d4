"""Hook names in the dialects of other libraries, as sites of ours."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

from clew.sites import Site

Ends = tuple[Site, Site]
"""The site a dictionary reads and the site it writes."""

# A name may stand for the stream before block n: that is what block n - 1 wrote, or what entered block 0.
BEFORE = "before"

DIALECTS: dict[str, str] = {
    # TransformerLens and SAELens.
    r"blocks\.(\d+)\.hook_resid_post": "resid",
    r"blocks\.(\d+)\.hook_resid_pre": BEFORE,
    r"blocks\.(\d+)\.hook_attn_out": "attn",
    r"blocks\.(\d+)\.hook_mlp_out": "mlp",
    r"blocks\.(\d+)\.attn\.hook_z": "head",
    r"blocks\.(\d+)\.mlp\.hook_post": "neuron",
    r"blocks\.(\d+)\.mlp\.hook_in": "mlp_in",
    r"blocks\.(\d+)\.mlp\.hook_out": "mlp",
    r"blocks\.(\d+)\.ln1\.hook_normalized": "attn_in",
    r"blocks\.(\d+)\.ln2\.hook_normalized": "mlp_in",
    # Folders and submodule names of dictionary_learning.
    r"resid_(?:out|post)_layer_?(\d+)": "resid",
    r"resid_pre_layer_?(\d+)": BEFORE,
    r"(?:attn|attention)_out_layer_?(\d+)": "attn",
    r"mlp_out_layer_?(\d+)": "mlp",
    r"embed(?:_in)?": "embed",
    # Module paths, as in sparsify (their outputs are meant) and in Gemma Scope 2.
    r"(?:\w+\.)*(?:layers|h)\.(\d+)(?:\.output)?": "resid",
    r"(?:\w+\.)*(?:layers|h)\.(\d+)\.(?:self_attn|self_attention|attention|attn)": "attn",
    r"(?:\w+\.)*(?:layers|h)\.(\d+)\.mlp": "mlp",
    r"(?:\w+\.)*layers\.(\d+)\.self_attn\.o_proj\.input": "head",
    r"(?:\w+\.)*layers\.(\d+)\.pre_feedforward_layernorm\.output": "mlp_in",
    r"(?:\w+\.)*layers\.(\d+)\.post_feedforward_layernorm\.output": "mlp",
}

BESIDE = {
    "ln1.hook_normalized": "is the stream before the gain of its norm, our attn_in is after it; unless the gain is 1, "
    "divide the rows of W_enc by it",
    "ln2.hook_normalized": "is the stream before the gain of its norm, our mlp_in is after it; unless the gain is 1, "
    "divide the rows of W_enc by it",
    "mlp.hook_out": "is what the MLP writes before the norm that follows it in some families (Gemma 2 and 3), our mlp "
    "is after that norm; in other families the two are one",
}
"""Hooks that are not quite at the site we give for them: the difference."""

NOWHERE = {"hook_resid_mid": "the stream between attention and MLP"}
"""Hooks at which we have no site, and what they are."""

SAELENS = {
    "resid": "blocks.{}.hook_resid_post",
    "attn": "blocks.{}.hook_attn_out",
    "mlp": "blocks.{}.hook_mlp_out",
    "head": "blocks.{}.attn.hook_z",
    "mlp_in": "blocks.{}.mlp.hook_in",
    "neuron": "blocks.{}.mlp.hook_post",
}


def site(name: str) -> Site | None:
    """The site that a hook name, module path or folder name means; None when it is in no dialect we know."""
    for pattern, part in DIALECTS.items():
        found = re.fullmatch(pattern, name, re.ASCII)
        if found:
            layer = int(found[1]) if found.groups() else None
            if part == BEFORE:
                return before(layer or 0)
            for ending, difference in BESIDE.items():
                if name.endswith(ending):
                    warnings.warn(f"{ending} {difference}", stacklevel=2)
            return Site(part, layer)
    return None


def before(layer: int) -> Site:
    """The site of the stream that enters block `layer`."""
    return Site("resid", layer - 1) if layer else Site("embed")


def saelens_name(address: Site) -> str:
    """The TransformerLens hook of a site. Raises: ValueError where it has none."""
    if address.part == "embed":
        return "blocks.0.hook_resid_pre"
    if address.part not in SAELENS:
        raise ValueError(f"SAELens has no hook for {address}; it has one for embed, {', '.join(SAELENS)}")
    return SAELENS[address.part].format(address.layer)


def ends(at: Ends | None, *names: str | None, spans: bool = False) -> Ends:
    """The sites of a dictionary: those the user gave, or those of the hook `names` that its file gives.

    Two names are the hooks it reads and writes; `spans` says that it is a transcoder.
    Raises: ValueError that says what to pass as `at`.
    """
    example = "mlp_in.3 -> mlp.3" if spans else "resid.3"
    if at is not None:
        if spans != (at[0] != at[1]):
            wanted = "a transcoder, which reads one site and writes another" if spans else "no transcoder"
            raise ValueError(f"it is {wanted}, but at is {' -> '.join(map(str, at))!r}; pass at={example!r}")
        return at
    given = [name for name in names if name]
    if where := next((f"{name!r}, {NOWHERE[end]}" for name in given if (end := name.split(".")[-1]) in NOWHERE), None):
        raise ValueError(
            f"it was trained at {where}, where clew has no site: no dictionary of ours reads or writes there"
        )
    found = [site(name) for name in given]
    if not found or None in found or (spans and len(found) < 2):
        why = f"its hook {' -> '.join(map(repr, given))} is in no dialect we know" if given else "it names no hook"
        raise ValueError(f"the file does not say at which site it was trained ({why}); pass at={example!r}")
    reads, writes = found[0], found[-1]
    assert reads is not None and writes is not None
    if spans != (reads != writes):
        raise ValueError(f"it is {'a' if spans else 'no'} transcoder, but its hooks are {reads} -> {writes}")
    return reads, writes


def folder_name(path: Path) -> str | None:
    """The first name that is a hook in some dialect, of `path` and the two folders above it."""
    names = [path.resolve().name, *(p.name for p in path.resolve().parents)][:3]
    return next((name for name in names if site(name)), None)
