"""clew verify: how much of a behaviour a circuit explains."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from clew.apps.cli._options import options_of
from clew.apps.cli._terminal import Flag, Json, Several, open_behaviour, open_lens, say, working


@options_of("measures")
def verify(
    model: str,
    behaviour: str,
    circuit: Path,
    /,
    *,
    by: str = "faithfulness",
    through: Annotated[tuple[Path, ...], Several] = (),
    neurons: Annotated[tuple[str, ...], Several] = (),
    heads: Flag = False,
    examples: int | None = None,
    metric: str | None = None,
    all_pairs: Flag = False,
    out: Path | None = None,
    dtype: str | None = None,
    device: str | None = None,
    json: Json = False,
    **options: Any,
) -> None:
    """Measure a circuit on held-out prompts. More options come from the measure: `clew verify --by NAME --help`.

    Parameters
    ----------
    model
        The model the circuit was found in.
    behaviour
        The behaviour it was found for, or another one to test it on.
    circuit
        What `clew find` saved.
    by
        The measure: a file of clew/measures.
    through
        The dictionaries the circuit was found through.
    neurons
        The sites whose coordinates are its units.
    heads
        Its units are attention heads.
    examples
        How many prompt pairs at most; the same number as `clew find` was given.
    metric
        What is measured on the answer: logit_difference, answer_logit, log_probability, probability_difference or
        kl_divergence; that of the behaviour by default.
    all_pairs
        Also use the pairs that the model gets wrong; they are left out by default.
    out
        Save the report here, for `clew show --report`.
    dtype
        float32, float16, bfloat16 or float64.
    device
        Where to run: cpu, cuda, cuda:1, mps.
    """
    from clew.circuit import Circuit

    nodes = Circuit.load(circuit)
    lens = open_lens(model, through=through, neurons=neurons, heads=heads, dtype=dtype, device=device)
    import clew

    task = open_behaviour(behaviour, lens, examples, metric, all_pairs)
    with working(f"{by.replace('_', ' ')} of {circuit} on {behaviour}"):
        report = clew.verify(lens, task, nodes, by=by, **options)
    if out:
        report.save(out)
    say(str(report) + (f"\nsaved as {out}" if out else ""), report.to_json(), json)
