"""Do SAELens and clew compute the same code from the same folder? Both ways: our writer, and our reader.

Environment: python 3.11, torch 2.13.0 on a CPU, sae-lens 6.54.12; a venv of its own, since sae-lens brings
many packages:  python -m venv saelens-env && saelens-env/bin/pip install torch==2.13.0 sae-lens==6.54.12
Run:            PYTHONPATH=. saelens-env/bin/python bench/saelens_parity.py        (25 s)

d 64, 512 units, 1000 rows of float32. A difference is the largest |ours - theirs| over all codes or
reconstructions.

Found: 0 for standard, topk, abstopk, jumprelu, batchtopk (written as jumprelu), all four transcoders written
and read, the folded scale, and the BatchTopK and Matryoshka checkpoints, also when written again. 2e-6 to 3e-6
for gated, where we scale the pre-activation and SAELens the encoder; for topk and abstopk ranked by decoder norm,
where we fold the norm and SAELens multiplies; and for a centred transcoder, which SAELens does not have, so that
b_dec goes into b_enc. 0 too for Llama Scope, its R1 distillates and mwhanna's transcoders, hand-made files through
SAELens' own loaders; there with sparsity_include_decoder_norm off, because SAELens does not look at it.
"""

import json
import tempfile
import warnings
from pathlib import Path

import sae_lens
import torch
from sae_lens.loading import pretrained_sae_loaders as loaders
from sae_lens.registry import get_sae_class
from safetensors.torch import save_file

from clew.dictionaries import AbsTopK, BatchTopK, Dictionary, Gated, JumpReLU, ReLU, TopK

D, UNITS, ROWS, K = 64, 512, 1000, 16
torch.set_num_threads(1)


def weights(*per_unit: str) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    shapes = {"W_enc": (D, UNITS), "W_dec": (UNITS, D), "b_dec": (D,)} | dict.fromkeys(per_unit, (UNITS,))
    return {name: torch.randn(shape, generator=g) * D**-0.5 for name, shape in shapes.items()}


def difference(ours: Dictionary, theirs: sae_lens.SAE, x: torch.Tensor) -> str:
    # At an attention head SAELens is given [row, head, d_head], we the flat site.
    their_x = x.unflatten(-1, (8, -1)) if theirs.cfg.reshape_activations == "hook_z" else x
    with torch.no_grad():
        code, their_code = ours.encode(x), theirs.encode(their_x)
        their_y = theirs(their_x) if hasattr(theirs, "W_skip") else theirs.decode(their_code).reshape(x.shape)
        of_code, of_y = (code - their_code).abs().max(), (ours.reconstruct(x) - their_y).abs().max()
        active = (code != 0).float().sum(-1).mean()
    return f"code {of_code:.1e}  reconstruction {of_y:.1e}  (active per row {active:.1f})"


def written(folder: Path, x: torch.Tensor) -> None:
    w = weights("b_enc")
    half = torch.full((UNITS,), 0.5)
    ours = {
        "standard": ReLU("resid.3", centred=True, **w),
        "standard, not centred": ReLU("resid.3", centred=False, **w),
        "topk": TopK("mlp.3", k=K, centred=True, **w),
        "jumprelu": JumpReLU("attn.3", threshold=half + w["b_enc"], centred=False, **w),
        "gated": Gated("head.3", centred=True, **weights("b_gate", "b_mag", "r_mag")),
        "batchtopk": BatchTopK("embed", threshold=torch.tensor(0.5), centred=True, **w),
        "abstopk": AbsTopK("resid.3", k=K, centred=True, **w),
    }
    ends, skip = ("mlp_in.3", "mlp.3"), torch.randn(D, D, generator=torch.Generator().manual_seed(3)) * D**-0.5
    for name, more in {"": {}, "skip_": {"W_skip": skip}}.items():
        ours[f"{name}transcoder"] = ReLU(*ends, centred=False, **w, **more)
        ours[f"jumprelu_{name}transcoder"] = JumpReLU(*ends, threshold=half, centred=False, **w, **more)
    ours["transcoder, centred"] = ReLU(*ends, centred=True, **w)
    ours["batchtopk transcoder"] = BatchTopK(*ends, threshold=torch.tensor(0.5), centred=False, **w)
    for name, dictionary in ours.items():
        dictionary.save(folder / name, format="saelens")
        theirs = sae_lens.SAE.load_from_disk(folder / name)
        print(f"written  {name:26} {theirs.cfg.architecture():26} {difference(dictionary, theirs, x)}")


def read(folder: Path, x: torch.Tensor) -> None:
    transcoder = {"d_out": D, "apply_b_dec_to_input": False}
    cases = {
        "standard": {},
        "gated": {},
        "topk": {"k": K, "rescale_acts_by_decoder_norm": False},
        "topk rescaled": {"k": K, "rescale_acts_by_decoder_norm": True},
        "abstopk": {"k": K, "rescale_acts_by_decoder_norm": False},
        "abstopk rescaled": {"k": K, "rescale_acts_by_decoder_norm": True},
        "jumprelu": {},
        "transcoder": transcoder,
        "skip_transcoder": transcoder,
        "jumprelu_transcoder": transcoder,
        "jumprelu_skip_transcoder": transcoder,
    }
    for name, settings in cases.items():
        theirs = made(name.split()[0], settings)
        theirs.save_model(folder / name)
        (ours,) = Dictionary.load(folder / name)
        print(f"read     {name:26} {type(ours).__name__:26} {difference(ours, theirs, x)}")


def made(architecture: str, settings: dict) -> sae_lens.SAE:
    """One of SAELens' own, with random weights."""
    kind, config = get_sae_class(architecture)
    sae = kind(config(d_in=D, d_sae=UNITS, dtype="float32", device="cpu", **settings))
    hooks = {"hook_name": "blocks.3.hook_resid_post"}
    if "transcoder" in architecture:
        hooks = {"hook_name": "blocks.3.ln2.hook_normalized", "hook_name_out": "blocks.3.hook_mlp_out"}
    for key, value in hooks.items():
        setattr(sae.cfg.metadata, key, value)
    g = torch.Generator().manual_seed(1)
    for name, tensor in sae.named_parameters():
        tensor.data = torch.randn(tensor.shape, generator=g) * D**-0.5
        tensor.data = tensor.data.abs() if name == "threshold" else tensor.data
    return sae


def scaled(folder: Path, x: torch.Tensor) -> None:
    """Weights of activations scaled by 3, with activation_scaler.json, against SAELens' own fold."""
    theirs = made("standard", {"normalize_activations": "expected_average_only_in"})
    theirs.save_model(folder / "scaled")
    (folder / "scaled" / "activation_scaler.json").write_text(json.dumps({"scaling_factor": 3.0}))
    (ours,) = Dictionary.load(folder / "scaled")
    theirs.fold_activation_norm_scaling_factor(3.0)
    print(f"read     {'standard, scaled':26} {type(ours).__name__:26} {difference(ours, theirs, x)}")


def trained(folder: Path, x: torch.Tensor) -> None:
    """Training checkpoints of BatchTopK and of Matryoshka against the jumprelu that SAELens makes of them."""
    config = {"architecture": "jumprelu", "d_in": D, "d_sae": UNITS, "dtype": "float32", "device": "cpu"}
    config |= {"metadata": {"sae_lens_version": sae_lens.__version__, "hook_name": "blocks.3.hook_resid_post"}}
    half = torch.tensor(0.5).double()
    kept = {"jumprelu": torch.full((UNITS,), 0.5), "batchtopk": half, "matryoshka_batchtopk": half}
    for name, threshold in kept.items():
        place = folder / f"checkpoint {name}"
        place.mkdir()
        (place / "cfg.json").write_text(json.dumps(config | {"architecture": name}))
        key = "threshold" if name == "jumprelu" else "topk_threshold"
        save_file(weights("b_enc") | {key: threshold}, place / "sae_weights.safetensors")
    theirs = sae_lens.SAE.load_from_disk(folder / "checkpoint jumprelu")
    for name in ("batchtopk", "matryoshka_batchtopk"):
        (ours,) = Dictionary.load(folder / f"checkpoint {name}")
        print(f"read     {name + ' checkpoint':31} {type(ours).__name__:21} {difference(ours, theirs, x)}")
        ours.save(folder / f"again {name}", format="saelens")
        again = sae_lens.SAE.load_from_disk(folder / f"again {name}")
        learnt = again.cfg.metadata.training_architecture
        print(f"written  {name + ' checkpoint':31} {learnt:21} {difference(ours, again, x)}")


def published(folder: Path, x: torch.Tensor) -> None:
    """Hand-made files in three publishers' layouts, through SAELens' own loaders for them and through ours."""
    w, hook = weights("b_enc", "log_jumprelu_threshold"), "blocks.3.hook_resid_post"
    turned = {"encoder.weight": w["W_enc"].T, "decoder.weight": w["W_dec"].T, "encoder.bias": w["b_enc"]}
    turned = {n: t.contiguous() for n, t in turned.items()} | {"decoder.bias": w["b_dec"]}
    config = {"d_model": D, "d_sae": UNITS, "expansion_factor": UNITS // D, "hook_point_in": hook, "act_fn": "jumprelu"}
    norm, scope, distill = 3.0, folder / "L3R-8x", folder / "L3R"
    (scope / "checkpoints").mkdir(parents=True)
    average = {"dataset_average_activation_norm": {"in": norm, "out": norm}, "sparsity_include_decoder_norm": False}
    (scope / "hyperparams.json").write_text(json.dumps(config | average | {"jump_relu_threshold": 0.1}))
    save_file(turned, scope / "checkpoints" / "final.safetensors")
    distill.mkdir()
    (distill / "config.json").write_text(json.dumps(config | average))
    per_unit = {"log_jumprelu_threshold": w["log_jumprelu_threshold"]}
    save_file(turned | per_unit, distill / "sae_weights.safetensors")
    transcoders = folder / "transcoders"
    transcoders.mkdir()
    plain = {"W_enc": w["W_enc"].T.contiguous()} | {n: w[n] for n in ("W_dec", "b_enc", "b_dec")}
    save_file(plain, transcoders / "layer_3.safetensors")
    sizes = {"d_model": D, "d_feature": UNITS, "batch_size": 8}
    (transcoders / "wandb-config.yaml").write_text("".join(f"{n}:\n  value: {v}\n" for n, v in sizes.items()))
    (transcoders / "config.yaml").write_text("model_name: Qwen/Qwen3-4B\nactivation: relu\n")
    loaders.hf_hub_download = lambda repo_id="", filename="", subfolder=None, **_: str(
        folder / (transcoders.name if repo_id == "transcoders" else "") / (subfolder or "") / filename
    )
    for name, load, repo, sae, opened in (
        ("llama_scope", loaders.llama_scope_sae_huggingface_loader, "", scope.name, scope),
        ("llama_scope_r1_distill", loaders.llama_scope_r1_distill_sae_huggingface_loader, "", distill.name, distill),
        ("mwhanna", loaders.mwhanna_transcoder_huggingface_loader, "transcoders", "layer_3.safetensors", transcoders),
    ):
        settings, tensors, _ = load(repo, sae, cfg_overrides={"dtype": "float32"})
        kind, their_config = get_sae_class(settings["architecture"])
        theirs = kind(their_config.from_dict(settings))
        theirs.load_state_dict(tensors)
        if opened != transcoders:
            theirs.fold_activation_norm_scaling_factor(D**0.5 / norm)
        (ours,) = Dictionary.load(opened)
        print(f"read     {name:26} {type(ours).__name__:26} {difference(ours, theirs, x)}")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    rows = torch.randn(ROWS, D, generator=torch.Generator().manual_seed(2))
    print(f"sae-lens {sae_lens.__version__}, torch {torch.__version__}, {UNITS} units of {D} dimensions, {ROWS} rows")
    with tempfile.TemporaryDirectory() as name:
        for check in (written, read, scaled, trained, published):
            check(Path(name), rows)
