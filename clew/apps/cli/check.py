"""clew check: does what clew promises hold for this model?"""

from __future__ import annotations

from clew.apps.cli._groups import Machine
from clew.apps.cli._terminal import Json, say, working


def check(model: str, /, *, machine: Machine = Machine(), json: Json = False) -> None:
    """Check by numbers what every address promises, on a few short passes, and say what does not hold.

    Parameters
    ----------
    model
        A bundled name (`clew models`), a folder, a GGUF file or a hub id.
    """
    opened = machine.open(model)
    from clew.models.selfcheck import selfcheck

    with working(f"checking {model}"):
        result = selfcheck(opened.body)
    verdict = "everything holds" if result.ok else "what is marked above is refused for this model"
    say("\n".join([*result.lines, verdict]), result.to_json(), json)
