"""Direct effects on one prompt: the model run frozen, what each source writes, and how much of it a target reads.

Sources are what transcoders write (active features, and the error each leaves) and the tokens' embeddings; a target
is a direction at one position of a site. Between them the frozen run is linear, so that the effect of a source is
its vector times the gradient of the target there, exactly.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from clew.dictionaries.dictionary import Learned
from clew.dictionaries.sparse import encode, is_wide, write
from clew.models import Model
from clew.models.trace import as_read
from clew.scale.budget import VALUES
from clew.sites import Site

EMBED, FINAL = Site("embed"), Site("final")


class Direct:
    """The frozen run of one prompt and its sources.

    Sources stand in this order: features by layer, position and unit; errors by layer and position; tokens.

    Args: tokens: one prompt. skip: leading positions whose features and errors are no sources. read: sites beside
        those needed. Raises: ValueError for a view of anything but transcoders from `mlp_in` to `mlp`.
    """

    def __init__(
        self, model: Model, tokens: Int[Tensor, "one seq"], *, skip: int = 0, read: Sequence[Site] = (), logits: int = 1
    ) -> None:
        self.transcoders: dict[int, Learned] = transcoders(model)
        self.model, self.seq, self.skip, self.layers = model, tokens.shape[1], skip, model.n_layers
        self.leaves = [EMBED, *(Site("mlp", layer) for layer in range(self.layers))]
        reads = [*self.leaves, *(Site("mlp_in", layer) for layer in self.transcoders), FINAL, *read]
        self.trace = model.run(tokens, read=reads, frozen=True, grad=True, logits=logits)
        self.written: list[Float[Tensor, "seq d_model"]] = []
        """[layer] what each MLP writes beyond its features: the error."""
        found: list[Int[Tensor, "feature 3"]] = []
        values: list[Tensor] = []
        self._columns: dict[tuple[int, int], slice] = {}
        for layer in range(self.layers):
            out = self.trace[Site("mlp", layer)].detach()[0]
            if layer not in self.transcoders:
                self.written.append(self._unskipped(out))
                continue
            transcoder = self.transcoders[layer]
            decoded, position, unit, value = _active(
                transcoder, as_read(self.trace[Site("mlp_in", layer)].detach()[0], transcoder)
            )
            self.written.append(self._unskipped(as_read(out, transcoder) - decoded))
            position, unit, value = (x[position >= skip] for x in (position, unit, value))
            first = sum(map(len, found))
            found.append(torch.stack([torch.full_like(unit, layer), position, unit], dim=1))
            values.append(value)
            ends = [0, *torch.bincount(position, minlength=self.seq).cumsum(0).tolist()]
            for p in range(self.seq):
                self._columns[layer, p] = slice(first + ends[p], first + ends[p + 1])
        self.feature: Int[Tensor, "feature 3"] = torch.cat(found)
        """[feature] layer, position, unit."""
        self.activation: Float[Tensor, " feature"] = torch.cat(values)
        self._written_by: dict[tuple[int, int], Float[Tensor, "feature d_model"]] = {}
        if self.activation.numel() * model.body.widths[EMBED] <= VALUES // 4:
            self._written_by = {place: self._vectors(*place) for place in self._columns}
        self.n_sources = len(self.feature) + (self.layers + 1) * self.seq

    def _unskipped(self, x: Float[Tensor, "seq d_model"]) -> Float[Tensor, "seq d_model"]:
        return torch.cat([torch.zeros_like(x[: self.skip]), x[self.skip :]])

    def _vectors(self, layer: int, position: int) -> Float[Tensor, "feature d_model"]:
        """What each feature of one place writes; kept where that is not too much."""
        if (layer, position) in self._written_by:
            return self._written_by[layer, position]
        some = self._columns[layer, position]
        return self.activation[some, None] * self.transcoders[layer].W_dec[self.feature[some, 2]]

    def encoder_rows(self, index: Int[Tensor, " target"]) -> Float[Tensor, "target d_model"]:
        """The direction at `mlp_in` that each of these features reads: the gradient of its code."""
        rows = torch.zeros(len(index), self.model.body.widths[EMBED], dtype=self.activation.dtype)
        rows = rows.to(self.activation.device)
        for layer in self.feature[index, 0].unique().tolist():
            here = (self.feature[index, 0] == layer).nonzero()[:, 0]
            _, position, unit = self.feature[index[here]].T
            transcoder = self.transcoders[layer]
            if is_wide(transcoder):
                rows[here] = transcoder.W_enc[:, unit].T * transcoder.slope(unit)[:, None]
                continue
            x = as_read(self.trace[Site("mlp_in", layer)].detach()[0, position], transcoder).requires_grad_()
            code = transcoder.encode(x).gather(1, unit[:, None])
            rows[here] = torch.autograd.grad(code.sum(), x)[0]
        return rows

    def on_features(self, index: Int[Tensor, " target"]) -> Float[Tensor, "target source"]:
        """Direct effect of every source on what each of these features reads, in units of its activation."""
        layer, position, _ = self.feature[index].T
        return self.on(Site("mlp_in", 0), layer, position, self.encoder_rows(index))

    def on_final(self, directions: Float[Tensor, "target d_model"]) -> Float[Tensor, "target source"]:
        """Direct effect of every source on these directions of the last position of the stream after its last norm."""
        zeros = torch.zeros(len(directions), dtype=torch.long, device=directions.device)
        return self.on(FINAL, zeros, zeros + self.seq - 1, directions)

    def on(
        self,
        site: Site,
        layer: Int[Tensor, " target"],
        position: Int[Tensor, " target"],
        direction: Float[Tensor, "target d_model"],
    ) -> Float[Tensor, "target source"]:
        """Rows of one backward pass: `direction` at a position of `site`, of each target's own layer if it has one."""
        outputs, seeds = [], []
        for one in layer.unique().tolist():
            value = self.trace[site if site.layer is None else Site(site.part, one)]
            here = (layer == one).nonzero()[:, 0]
            seed = torch.zeros(len(layer), *value.shape, dtype=value.dtype, device=value.device)
            seed[here, 0, position[here]] = direction[here].to(value.dtype)
            outputs.append(value)
            seeds.append(seed)
        leaves = [self.trace[leaf] for leaf in self.leaves]
        grads = torch.autograd.grad(
            outputs, leaves, seeds, retain_graph=True, allow_unused=True, is_grads_batched=True
        )  # one prompt serves all rows: what is linear needs no copy of the run for each
        return self.contract([None if g is None else g[:, 0] for g in grads], len(layer), int(position.max()) + 1)

    def on_metric(self, metric: Float[Tensor, ""]) -> Float[Tensor, "one source"]:
        """Direct effect of every source on a number computed from the trace, linearised where it is not linear."""
        grads = torch.autograd.grad(metric, [self.trace[s] for s in self.leaves], retain_graph=True, allow_unused=True)
        return self.contract(list(grads), 1, self.seq)

    def contract(
        self, grads: Sequence[Float[Tensor, "target seq d_model"] | None], targets: int, seq: int
    ) -> Float[Tensor, "target source"]:
        """Gradients at every leaf, times what each source writes there; positions from `seq` on have none."""
        wide = self.activation.dtype
        rows = torch.zeros(targets, self.n_sources, dtype=wide, device=self.activation.device)
        n = len(self.feature)
        for i, grad in enumerate(grads):
            if grad is None:
                continue
            grad = grad[:, :seq].to(wide)
            if i == 0:  # the embedding
                rows[:, -self.seq :][:, :seq] = (grad * self.trace[EMBED].detach()[:, :seq].to(wide)).sum(-1)
                continue
            start = n + (i - 1) * self.seq
            rows[:, start : start + seq] = (grad * self.written[i - 1][:seq].to(wide)).sum(-1)
            for p in range(seq) if i - 1 in self.transcoders else ():
                rows[:, self._columns[i - 1, p]] = grad[:, p] @ self._vectors(i - 1, p).T
        return rows


def _active(transcoder: Learned, x: Float[Tensor, "seq d_in"]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What the features write together, [seq, d_out], and of each that is active its position, unit and value."""
    if is_wide(transcoder):
        code = encode(transcoder, x)
        return write(transcoder, code) + transcoder.b_dec, code.row, code.unit, code.value
    code = transcoder.encode(x)
    position, unit = code.nonzero(as_tuple=True)
    return transcoder.decode(code), position, unit, code[position, unit]


def transcoders(model: Model) -> dict[int, Learned]:
    """The view of a model by layer. Raises: ValueError unless each of it reads `mlp_in` and writes `mlp` of a layer."""
    found: dict[int, Learned] = {}
    for site, dictionary in model.dictionaries.items():
        if site.part != "mlp" or dictionary.reads != Site("mlp_in", site.layer) or not isinstance(dictionary, Learned):
            raise ValueError(
                f"an attribution graph needs transcoders, which read mlp_in.L and write mlp.L, but {model.name} is seen "
                f"through a {dictionary.kind} that reads {dictionary.reads} and writes {site}; "
                "use model.through(*transcoders) first"
            )
        assert site.layer is not None
        found[site.layer] = dictionary
    return found
