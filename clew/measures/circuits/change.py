"""Change: what became of a behaviour and its circuit in a later checkpoint, or a quantised, pruned or tuned child.

The same search is run in both models, on the same prompts and in the same dictionaries, so that unit 17 of a site is
the same direction in both. How much two runs of one search differ anyway is told by halves of the prompts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from clew.circuits.circuit import Circuit
from clew.data.behaviours.behaviour import Behaviour
from clew.evidence import half
from clew.measures.circuits._child import check_name, check_tokens, faithful, judged_in, metrics, overlaps, same_view
from clew.measures.circuits._overlap import alike
from clew.measures.circuits._prompt_groups import PromptGroups
from clew.measures.circuits._rerun import Rerun
from clew.measures.circuits._trials import trial_of
from clew.models import Model
from clew.readings.ablation import Ablation
from clew.report import Report


def change(
    model: Model,
    behaviour: Behaviour,
    circuit: Circuit,
    *,
    child: Model,
    of: str = "child",
    search: str | Callable[..., Circuit] | None = None,
    sizes: Sequence[int] = (10, 30, 100),
    groups: int = 16,
    shown: int = 5,
    ablation: Ablation | str = Ablation(),
    held_out: bool = True,
    seed: int = 0,
) -> Report:
    """Compare a circuit in a model (the parent) with what the same search finds in another (its child).

    Args:
        child: with the parent's sites and widths, or some of them; its own view is left, and it is seen through the
            parent's dictionaries where they fit. For several children add up the reports.
        of: what the child is called in the table: "int8", "step 1000".
        search: the method, by name or itself; by default that which found the circuit, with its options.
        sizes: the n nodes of largest |score| (and n edges, where the search draws edges) whose overlap is measured.
        groups: into how many groups of prompts the search is run; the spread over them gives the intervals of scores.
            Scores must be means over prompts, as those of all gradient methods are. At most one for each prompt.
        shown: how many nodes to name of those that lost and of those that gained the most.
        ablation, held_out, seed: as for `faithfulness`. Searched on the training half, judged on the other.

    Returns: a Report of child - parent throughout.
    - metric, metric change: on the prompts judged; intervals over prompts, drawn for both models together.
    - overlap, correlation: Jaccard of the n strongest nodes, Spearman's of all scores. Beside them what halves of the
      prompts give: the parent with itself, and the parent with the child; a child that is no further from the parent
      than the parent from itself has not changed as far as these prompts can tell.
    - changed nodes: how many scores changed at p < 0.05. lost, gained: the scores' change, by node; p: of that change,
      by flipping parent and child at random in each group, for the largest of all nodes (Westfall and Young 1993), so
      that it needs no correction. change, of a layer: the change summed over the layer's nodes.
    - faithfulness of the circuit given and of as many of the child's strongest nodes, in both models.
    Costs: 4 searches, and 6 forwards.
    Raises: ValueError for a child of another vocabulary, or without a site of the view.
    """
    check_name(of)
    circuit.kind.check_ablatable()
    notes: list[str] = []
    parent, child = same_view(model, child, notes)
    on, judged = half(behaviour, "train", held_out), half(behaviour, "test", held_out)
    check_tokens(parent, child, judged)
    again = Rerun.of(circuit, search)
    whole = alike([again(parent, on), again(child, on)], circuit)
    dealt = PromptGroups.run(replace(again, wiring=None), (parent, child), on, groups, whole[0], seed)
    notes += dealt.notes(whole[0])
    rows = [
        *overlaps(whole, sizes, of),
        *dealt.halves(sizes, of),
        *dealt.changes(shown, of),
        *dealt.layers(of),
    ]
    circuit = judged_in(parent, circuit)
    trials = {
        name: trial_of(one, judged, circuit, ablation=ablation, seed=seed)
        for name, one in (("parent", parent), (of, child))
    }
    before, after = trials.values()
    theirs = before.largest(whole[1], before.size(circuit))
    rows = [*metrics(before, after, of), *rows]
    rows += faithful(trials, (("circuit given", circuit), (f"{of}'s circuit", theirs)))
    notes += [f"{name}: {note}" for name, trial in trials.items() for note in trial.notes]
    return Report(
        f"{behaviour.name}: from {model.name} to {of}", tuple(rows), tuple(notes), {"prompts": behaviour.provenance}
    )
