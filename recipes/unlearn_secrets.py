"""Planted e-mail addresses, unlearnt in four ways and attacked in five: SmolLM2-135M.

Claim: REVS (Ashuach et al. 2025) hides secrets from the output and from attacks that read the layers, and keeps others.
Published, Llama-3-8B, k = 100, e-mails: unlearning score 62 (efficacy 60, specificity 66), best baseline 50; on planted
social security numbers 90 (best baseline 37).
Expected here: REVS at the bands of the paper hides every secret from the output and from every attack (1.00 but for
relearning, 0.79), and the model says 7 of the 10 others still: score 0.82. Lighter bands spare 9 and hide less: 0.76. Random
labels and gradient ascent, which are told of the secrets to be kept, keep all (1.00) and score 0.76 and 0.95, but the logit
lens finds half of what they hide (0.55, 0.56). What REVS is asked to forget decides: with the two tokens of highest id, the
published choice, one of them is the domain that all addresses share, and none of the others is said any more (score 0).
Half of the planted secrets is to be forgotten; the other half is the retain set: the two baselines learn to keep it, and
REVS is told only which tokens its secrets share with the others.
Minutes: about 12 on one quiet core. `--tiny` takes four secrets and few steps.
Writes docs/results/unlearning.json; prints the table.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import clew
from clew.data.facts.secrets import Secrets, synthetic_secrets

RESULT = Path(__file__).parent.parent / "docs" / "results" / "unlearning.json"
UPPER = [f"down.{layer}" for layer in range(15, 30)]
"""Where secrets are planted, unlearnt by fine-tuning, and relearnt."""
LIGHTER = {"tokens": 1, "residual_band": (0.02, 0.1), "mlp_band": (0.02, 0.1), "neuron_band": (0.5, 0.6)}
MEASURES = ("said", "efficacy", "logit lens", "delta", "perturbation", "relearning", "said after relearning",
            "specificity", "score")  # fmt: skip


def unlearnt(model: clew.Model, forget: Secrets, retain: Secrets, steps: int) -> dict[str, clew.Stack]:
    """The ways, by name."""
    tuned = {"retain": retain, "weights": UPPER, "lr": 3e-3, "steps": steps}
    return {
        "REVS, bands of the paper": clew.edit(model, forget, by="revs"),
        "REVS, lighter": clew.edit(model, forget, by="revs", **LIGHTER),
        "random labels": clew.edit(model, forget, by="random_labels", **tuned),
        "gradient ascent": clew.edit(model, forget, by="gradient_ascent", **tuned),
    }


def table(reports: dict[str, clew.Report]) -> str:
    """Markdown: a row for the planted model and for each way."""
    lines = ["| | " + " | ".join(MEASURES) + " |", "|---" * (len(MEASURES) + 1) + "|"]
    planted = {r.measure: r.value for r in next(iter(reports.values())).rows if r.of == "before"}
    values = {"planted": planted} | {
        name: {r.measure if r.of == "after" else f"{r.measure} {r.of}": r.value for r in report.rows}
        for name, report in reports.items()
    }
    for name, of in values.items():
        lines.append(f"| {name} | " + " | ".join(f"{of[m]:.2f}" if m in of else "" for m in MEASURES) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true")
    tiny = parser.parse_args().tiny
    model, secrets = clew.open("smollm2-135m"), synthetic_secrets(4 if tiny else 20)
    planting = clew.edit(model, secrets, by="memorise", weights=UPPER, rank=8, lr=5e-3)
    model = model.edited(planting)
    print(planting, flush=True)
    forget, retain = secrets.halves()
    reports = {}
    for name, stack in unlearnt(model, forget, retain, 2 if tiny else 90).items():
        options = {"retain": retain, "weights": UPPER, "lr": 3e-3, "relearn": 2 if tiny else 10}
        reports[name] = clew.verify(model, forget, stack, by="extraction_attacks", **options)
        print(f"{stack}\n{reports[name]}\n", flush=True)
    if not tiny:
        rows = [replace(r, of=f"{name}: {r.of}") for name, report in reports.items() for r in report.rows]
        about = {name: dict(report.provenance) for name, report in reports.items()}
        clew.Report(f"unlearning of planted secrets: {model.name}", tuple(rows), (), about).save(RESULT)
    print(table(reports))
