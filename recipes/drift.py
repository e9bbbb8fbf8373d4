"""Drift of SmolLM2-135M when its weights are held in fewer bits: bfloat16, int8 (torchao), nf4 (bitsandbytes).

The circuit is the 30 strongest heads by position for simple agreement, found in float32 by attribution patching on half of 40
pairs; everything is judged on the other half. int8 is weight-only, with a scale for each row; nf4 is a scale for 64 weights.

Needs `pip install torchao bitsandbytes`. Writes docs/results/drift.json and prints a table. Ten minutes of one core.
"""

import argparse
from pathlib import Path
from typing import Any

import clew
from clew.files import write_json
from clew.report import Report

RESULT = Path(__file__).parent.parent / "docs" / "results" / "drift.json"
ROWS = (
    ("KL, all tokens (nats)", "KL", "all tokens"),
    ("KL at the answer", "KL", "answer"),
    ("same most likely token, all tokens", "top-1 agreement", "all tokens"),
    ("the same at the answer", "top-1 agreement", "answer"),
    ("drift of `attn`", "drift", "attn"),
    ("of which its own", "own drift", "attn"),
    ("drift of `mlp`", "drift", "mlp"),
    ("of which its own", "own drift", "mlp"),
    ("drift of `resid`", "drift", "resid"),
    ("drift of `final`", "drift", "final"),
    ("metric change", "metric change", ""),
    ("overlap of the 30 strongest heads", "overlap", ""),
    ("rank correlation of all 270 scores", "correlation", ""),
    ("faithfulness of the parent's circuit", "faithfulness", "circuit given in"),
)


def children() -> dict[str, dict[str, Any]]:
    """How each child is opened."""
    from torchao.quantization import Int8WeightOnlyConfig
    from transformers import BitsAndBytesConfig, TorchAoConfig

    return {
        "bfloat16": {"dtype": "bfloat16"},
        "int8": {"dtype": "float32", "quantization_config": TorchAoConfig(Int8WeightOnlyConfig())},
        "nf4": {
            "dtype": "float32",
            "quantization_config": BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4"),
        },
    }


def said(report: Report, of: str, measure: str, what: str) -> str:
    """A number of the report, with its interval."""
    name = f"{what} {of}" if measure == "faithfulness" else f"{of} {what}".strip()
    rows = [r for r in report.rows if r.measure == measure and r.of == name and r.nodes in (None, 30, 270)]
    return rows[0].said(".3f")


def table(reports: dict[str, Report]) -> str:
    """Markdown: a column for each child."""
    lines = ["| | " + " | ".join(reports) + " |", "|---|" + "---|" * len(reports)]
    for words, measure, what in ROWS:
        lines.append(f"| {words} | " + " | ".join(said(r, of, measure, what) for of, r in reports.items()) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="eight pairs, one child, nothing written")
    tiny = parser.parse_args().tiny
    model = clew.open("smollm2-135m")
    task = clew.Behaviour.load("agreement/simple", model=model, n=8 if tiny else 40).filter(model)
    view = model.heads()
    circuit = clew.find(view, task, by="attribution_patching").top(30)
    found: dict[str, Report] = {}
    for of, how in list(children().items())[: 1 if tiny else None]:
        child = clew.open("smollm2-135m", **how)
        found[of] = clew.verify(view, task, circuit, by="drift", child=child, of=of)
        print(table(found), flush=True)
    if not tiny:
        write_json(RESULT, {of: report.to_json() for of, report in found.items()})
