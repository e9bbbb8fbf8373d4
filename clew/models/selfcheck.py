"""selfcheck: does what the addresses promise hold, by numbers, for the model at hand?

Runs a few short passes of random tokens. Each check is a sentence, tried at every site; what does not hold is refused
later by name, the site alone where only some are at fault, never silently wrong.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import transformers

from clew.files import cache_folder, check_whole, entries, entry, read_json, spared, texts_by_name, write_json
from clew.models._promises import FAR, PROMISES, Case, Promise, allowed, hooks_on, prompts, told
from clew.models.body import Body
from clew.models.state import state

FORMAT = "clew selfcheck"


@dataclass(frozen=True)
class Finding:
    """One promise and whether it holds."""

    name: str
    promise: str
    holds: bool
    measured: float
    """Largest deviation, relative to the largest value compared; 0 means bit for bit."""
    refused: str = ""
    """What clew refuses to do for this model when the promise does not hold."""
    sites: Mapping[str, str] = field(default_factory=dict[str, str])
    """Where it does not hold, and what was found there, if it is a matter of some sites; all else is as promised."""

    def __str__(self) -> str:
        size = "exactly" if self.measured == 0 else f"within {self.measured:.1e}"
        if self.holds:
            return f"ok       {self.promise} ({size})"
        where = "".join(f"\n         {address}: {found}" for address, found in self.sites.items())
        off = "no" if self.measured == FAR else f"no (off by {self.measured:.1e})"
        return f"REFUSED  {self.promise}: {off}. {self.refused}{where}"

    @property
    def refusals(self) -> dict[str, str]:
        """What `Body.require` refuses for it, and why: the promise, or the promise at each of these sites."""
        if self.holds:
            return {}
        if not self.sites:
            return {self.name: self.refused}
        return {
            f"{self.name} {address}": f"{self.refused}: {address} ({found}). Leave it out, all that is not named holds"
            for address, found in self.sites.items()
        }


@dataclass(frozen=True)
class SelfCheck:
    """All findings on one model."""

    model: str
    fingerprint: str
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        return all(f.holds for f in self.findings)

    @property
    def lines(self) -> list[str]:
        """In words, one line per promise."""
        return [str(f) for f in self.findings]

    def to_json(self) -> dict[str, Any]:
        findings = [asdict(f) for f in self.findings]
        return {"format": FORMAT, "model": self.model, "fingerprint": self.fingerprint, "findings": findings}


def known_refusals(body: Body) -> dict[str, str]:
    """What is refused for this model, from the cache or from a first selfcheck."""
    check = cached_selfcheck(body)
    return {name: why for finding in check.findings for name, why in finding.refusals.items()}


def cached_selfcheck(body: Body) -> SelfCheck:
    """selfcheck, once per weights, layout, dtype, device and versions; each time where others put hooks on the module."""
    if hooks_on(body):  # which are not in its weights
        return selfcheck(body)
    attention = body.module.config._attn_implementation
    source = b"".join(file.read_bytes() for file in sorted(Path(__file__).parent.glob("*.py")))
    source += repr(body.layout).encode()
    checks = hashlib.sha256(source).hexdigest()[:8]  # what is promised, and how sites are seen, may change with clew
    versions = f"{transformers.__version__}-{torch.__version__}-{checks}"
    setting = f"{body.fingerprint}-{body.config_hash}-{body.dtype}-{body.device.type}-{attention}-{versions}"
    path = cache_folder("selfcheck") / f"{setting.replace('torch.', '')}.json"
    with spared(), suppress(ValueError):  # damaged, it is as good as not there
        if path.exists():
            return replace(_kept(path), model=body.name)
    check = selfcheck(body)
    with spared():
        write_json(path, check.to_json())
    return check


def _kept(path: Path) -> SelfCheck:
    """What an earlier check found. Raises: ValueError naming the file and the place in it."""
    value, origin = read_json(path, FORMAT), str(path)
    check_whole(value, ("format", "model", "fingerprint", "findings"), origin)
    model, fingerprint = (entry(value, name, str, origin=origin) for name in ("model", "fingerprint"))
    held = enumerate(entries(value, "findings", dict, origin=origin))
    return SelfCheck(model, fingerprint, tuple(_told(finding, f"{origin}: findings[{i}]") for i, finding in held))


def _told(held: Mapping[str, Any], origin: str) -> Finding:
    kinds = {"name": str, "promise": str, "holds": bool, "measured": float, "refused": str}
    check_whole(held, (*kinds, "sites"), origin)
    plain = {name: entry(held, name, kind, origin=origin) for name, kind in kinds.items()}
    return Finding(**plain, sites=texts_by_name(held, "sites", origin=origin))


def selfcheck(body: Body, *, seed: int = 0) -> SelfCheck:
    """Check every promise on two random prompts of nine tokens, or of more where a window is longer.

    Raises: ValueError for a model that does not run.
    """
    with state(body.module):
        standing = hooks_on(body)
        try:
            case = Case(body, prompts(body, seed))
        except Exception as error:
            raise ValueError(f"{body.name} does not run on random tokens ({told(error)})") from error
        findings = (_exact(case), *(_found(promise, case) for promise in PROMISES), _clean(body, standing))
        return SelfCheck(body.name, body.fingerprint, findings)


def _exact(case: Case) -> Finding:
    name, promise = "exact", "reading every site leaves the logits as they are, bit for bit"
    if case.broken:
        return Finding(name, promise, False, FAR, f"Nothing measured on this model can be trusted ({case.broken})")
    if not case.off:
        return Finding(name, promise, True, 0.0)
    sites = {str(site): found for site, found in case.off.items()}
    return Finding(name, promise, False, FAR, "Reading this site changes what the model computes", sites)


def _found(promise: Promise, case: Case) -> Finding:
    measured, most = 0.0, allowed(case, promise)
    off: dict[str, str] = {}
    for addresses, how_far, found in _tried(promise, case):
        measured = max(measured, how_far)
        if how_far > most:
            off |= dict.fromkeys(map(str, addresses), found) or {"": found}
    refused = promise.refused if "" not in off or measured < FAR else f"{promise.refused} ({off['']})"
    return Finding(promise.name, promise.said, not off, measured, refused, {k: v for k, v in off.items() if k})


def _tried(promise: Promise, case: Case) -> Iterator[tuple[tuple[object, ...], float, str]]:
    """Each trial: of which addresses, how far off, and in words; a trial that fails is as far off as can be."""
    for addresses, trial in promise.trials(case):
        try:
            how_far = trial()
            yield addresses, how_far, f"off by {how_far:.1e}"
        except Exception as error:
            yield addresses, FAR, told(error)


def _clean(body: Body, standing: int) -> Finding:
    left = hooks_on(body) - standing
    return Finding("clean", "no hook, stub or setting is left behind", left == 0, float(left), "A hook was left behind")
