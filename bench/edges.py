"""How fast are edges? Against one plain autograd backward per row on a small model, and in rows per second on a real one.

The small model is the three-layer GPT-NeoX of tests/reference with dictionaries at all ten sites; a row is one
node at one position of one example, seen from one site that it reads (the rows of the reference's edge groups). The
plain way: one backward per row, from the node's own value to the one site, with the sites between held; the
forward is shared by all rows of a site. A smarter plain way takes all sites that a node reads in one backward.
"""

import sys
from pathlib import Path

import torch
from _log import log, peak_gib, seconds

import clew
from clew.methods.edges.edges import Wiring, edges
from clew.methods.nodes import attribution_patching as ap
from clew.methods.nodes import integrated_gradients as ig
from clew.methods.nodes.integrated_gradients_inputs import integrated_gradients_inputs
from clew.readings.contrast import Contrast

sys.path.insert(0, str(Path(__file__).parent.parent))
from nodes import SITES, dictionary

from tests.planted import oracle_behaviour, oracle_lens

THRESHOLD = 0.15


def small() -> tuple[float, float, float, float, int]:
    """Seconds of ours and of the plain way, of ours and of the smarter one, for all rows above the threshold; rows."""
    view, behaviour = oracle_lens(), oracle_behaviour()
    contrast = Contrast(view, behaviour)
    (batch,) = contrast.batches
    gradients = ig.gradients
    known = Wiring(contrast, batch, gradients, tokens=1000)
    rows = {site: (known.effect(site).abs() > THRESHOLD).nonzero() for site in list(view.dictionaries)[1:]}

    def ours() -> None:
        wiring = Wiring(contrast, batch, lambda *_: known.grads, tokens=1000)
        wiring.seat(rows)
        for site, some in rows.items():
            for chunk, leaf, grad, positions in wiring.pull_back(site, some):
                wiring.all_weights(leaf, grad, some[chunk], positions)

    def plain(at_once: bool = False) -> None:
        for site, some in rows.items():
            cut = view.run(batch.clean, leaves=True)
            own, grad = view.dictionaries[site], known.grads[site]
            code = own.encode(cut.arrived[site])
            error = cut.arrived[site] - own.decode(code)
            for example, position, unit in some.tolist():
                if unit == own.n_units:
                    value = (error[example, position] * grad[example, position]).sum()
                else:
                    value = code[example, position, unit] * own.pull(grad[example, position])[unit]
                for some_leaves in [read[site]] if at_once else [[leaf] for leaf in read[site]]:
                    back = torch.autograd.grad(value, [cut.values[s] for s in some_leaves], retain_graph=True)
                    for leaf, g in zip(some_leaves, back, strict=True):
                        delta = known.delta(leaf)
                        left = (g * delta.error).sum(-1, keepdim=True)
                        torch.cat([view.dictionaries[leaf].pull(g) * delta.code, left], -1)

    known.seat(rows)
    read = {site: list(dict.fromkeys(leaf for _, leaf, _, _ in known.pull_back(site, r))) for site, r in rows.items()}
    edge_rows = sum(len(r) * len(read[site]) for site, r in rows.items())
    mine, one_by_one = seconds(ours, plain)
    again, at_once = seconds(ours, lambda: plain(at_once=True))
    return mine, one_by_one, again, at_once, edge_rows


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    ours, plain, again, smarter, rows = small()
    table = [("model", "rows", "CPU s", "plain: one backward per row", "all sites of a node at once", "rows/s")]
    plain_way = f"{plain:.3f} ({plain / ours:.1f} times ours)", f"{smarter:.3f} ({smarter / again:.1f} times ours)"
    table.append(("GPT-NeoX, 3 layers, 10 sites", str(rows), f"{ours:.3f}", *plain_way, f"{rows / ours:.0f}"))
    model = clew.open("smollm2-135m")
    task = clew.Behaviour.load("agreement/across_rc", model=model, n=64).of_length(model).first(8)
    view = model.through(*(dictionary(s, 576) for s in SITES))
    circuit = integrated_gradients_inputs(view, task, steps=2)
    nodes = circuit.top(100)
    real, _ = seconds(lambda: edges(view, task, nodes, gradient="attribution_patching"), lambda: None, rounds=2)
    contrast = Contrast(view, task)
    (batch,) = contrast.batches
    wiring = Wiring(contrast, batch, ap.gradients)
    count = 0
    for node in nodes:
        column = node.unit if node.unit >= 0 else view.dictionaries[node.site].n_units
        count += int((wiring.effect(node.site)[:, node.position, column] != 0).sum())
    table.append(
        ("SmolLM2-135M, 6 residual sites, 100 nodes, 8 pairs", str(count), f"{real:.2f}", "", "", f"{count / real:.0f}")
    )
    log(
        "Edges per second",
        table,
        f"peak memory {peak_gib():.2f} GiB; the second row includes its forwards and gradients",
    )


if __name__ == "__main__":
    main()
