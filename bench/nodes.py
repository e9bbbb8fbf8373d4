"""What do node effects cost over their floor?

Attribution patching needs two forwards and one backward to activations; integrated gradients per site needs, for
every step, a forward and a backward of the blocks above the site. The floor is measured on the bare module with
frozen weights, on the same batch, in the same process: IG's floor is `steps` times the bare forward and backward,
times the share of blocks above each site, plus the two forwards.
"""

import torch
from _log import log, peak_gib, seconds

import clew
from clew.dictionaries import TopK
from clew.methods.nodes.attribution_patching import attribution_patching
from clew.methods.nodes.integrated_gradients import integrated_gradients

EXAMPLES, STEPS, UNITS, K = 40, 10, 2304, 16
SITES = [f"resid.{i}" for i in (3, 7, 11, 15, 19, 23)]


def dictionary(site: str, d: int, units: int = UNITS) -> TopK:
    """Speed does not depend on what the rows mean."""
    rows = torch.nn.functional.normalize(torch.randn(units, d), dim=1)
    return TopK(
        site, k=K, W_enc=rows.T.contiguous(), b_enc=torch.zeros(units), W_dec=rows, b_dec=torch.zeros(d), centred=True
    )


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = clew.open("smollm2-135m")
    task = clew.Behaviour.load("agreement/across_rc", model=model, n=4 * EXAMPLES).of_length(model).first(EXAMPLES)
    (batch,) = task.batches(model)
    module = model.body.module.requires_grad_(False)
    seen = model.through(*(dictionary(s, 576) for s in SITES))
    every = model.through(*(dictionary(str(s), 576) for s in model.sites("resid", "attn", "mlp")))

    def two_forwards() -> None:
        with torch.no_grad():
            for tokens in (batch.clean, batch.patch):
                module(input_ids=tokens, use_cache=False, logits_to_keep=1)

    def forward_backward() -> None:
        embedded = module.get_input_embeddings()(batch.clean).detach().requires_grad_()
        module(inputs_embeds=embedded, use_cache=False, logits_to_keep=1).logits.sum().backward()

    def floor() -> None:
        with torch.no_grad():
            module(input_ids=batch.patch, use_cache=False, logits_to_keep=1)
        forward_backward()

    rows = [("method", "view", "CPU s", "floor s", "ratio")]
    for name, view in (("6 residual sites", seen), ("all 90 sites", every)):
        ours, least = seconds(lambda view=view: attribution_patching(view, task), floor)
        rows.append(("attribution patching", name, f"{ours:.2f}", f"{least:.2f}", f"{ours / least:.2f}"))
    above = sum(1 - (i + 1) / model.n_layers for i in (3, 7, 11, 15, 19, 23))
    ours, step = seconds(lambda: integrated_gradients(seen, task, steps=STEPS), forward_backward)
    _, both = seconds(lambda: None, two_forwards)
    least = STEPS * above * step + both
    rows.append(("integrated gradients", "6 residual sites", f"{ours:.2f}", f"{least:.2f}", f"{ours / least:.2f}"))
    shape = f"{EXAMPLES} pairs of {batch.clean.shape[1]} tokens, {UNITS} units, k {K}; peak memory {peak_gib():.2f} GiB"
    log("Node effects over their floor, SmolLM2-135M", rows, shape)


if __name__ == "__main__":
    main()
