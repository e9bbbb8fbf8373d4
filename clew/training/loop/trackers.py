"""Where the numbers of a run can go besides its log.jsonl: Weights & Biases, trackio, MLflow."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from clew.near import near
from clew.progress import NOTHING, Tell

TRACKERS = ("wandb", "trackio", "mlflow")


def tracker(name: str, run: str, *, project: str = "clew") -> Tell:
    """A function for `train(..., progress=...)` that sends each step's numbers to a tracker and closes it at the end.

    Args: name: wandb, trackio or mlflow; the package of that name must be installed. run: what the run is called there.
    Raises: ValueError for another name; ImportError that says what to install.
    """
    if name not in TRACKERS:
        raise ValueError(f"{name!r} is not a tracker that clew knows; {near(name, TRACKERS)}")
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"{name} is not installed: pip install {name}, or 'clew[trackers]' for all of them"
        ) from error
    if name == "mlflow":
        module.set_experiment(project)
        module.start_run(run_name=run)
    else:
        module.init(project=project, name=run)

    def tell(step: int, steps: int, numbers: Mapping[str, float] = NOTHING, /) -> None:
        if name == "mlflow":
            module.log_metrics(numbers, step=step)
        else:
            module.log(numbers, step=step)
        if step == steps:
            (module.end_run if name == "mlflow" else module.finish)()

    return tell
