"""What does an edit cost? Each of clew/edits on SmolLM2-135M, against the bare passes it makes, on one thread.

Run: python bench/edits.py [NAME ...]                     (all of them: about 20 CPU-minutes; needs the extra "probes")

Evidence is ours: 20 pairs of singular against plural nouns, capitals, 4 invented secrets, biographies; ordinary text for
second moments is 10,000 tokens of Wikipedia leads, whose moments are computed before the clock starts, as they are
cached ("second moment" is their price). Learning is cut to 10 steps, for a step costs the same as any other; only `memorise`
goes on until the secret is said.

Every pass of the module is written down while the edit is computed: shape, and whether for a gradient. The floor runs
just these again, whole, in plain transformers with frozen weights, with as many backwards to the embeddings as the edit
made (a batch of products counts as one). Runs that stop at the last site they read can so be below their floor; cached
single-token steps are run without their cache. Every edit has a process of its own, so that its peak of memory (model
included) is its own.
"""

import copy
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from _log import log, peak_gib

import clew
from clew.circuits.verdicts import Verdicts
from clew.data.facts.everyday import facts
from clew.data.facts.facts import Fact, Facts
from clew.data.facts.secrets import synthetic_secrets
from clew.data.labels.bios import bios
from clew.data.text.texts import shuffled_texts, wikipedia_leads
from clew.data.text.windows import Windows, cut
from clew.readings.moments import second_moment

STEPS = 10
HEAD = "edit|of|CPU s|bare passes s|ratio|forwards|backwards|tokens|peak GB"


def nouns(model: clew.Model) -> clew.Behaviour:
    """Singular nouns against plural ones, never the other way round, for mirrored pairs have no difference on average."""
    pairs = clew.Behaviour.load("agreement/simple", model=model, n=80).pairs
    return clew.Behaviour("singular", tuple(p for p in pairs if p.case == "singular")[:20])


def capitals(model: clew.Model, n: int = 2) -> Facts:
    return facts(n, model=model, relation="capital")


def relation(model: clew.Model) -> Facts:
    """One fact to edit and two examples; the target is the answer of one of them."""
    known = (("France", "Rome", "Paris"), ("Italy", "Madrid", "Rome"), ("Spain", "Paris", "Madrid"))
    return Facts("capitals", tuple(Fact("The capital of {} is", *given) for given in known))


def text(model: clew.Model) -> Windows:
    return cut(shuffled_texts(wikipedia_leads()), model.tokenizer, limit=10_000)


def in_features(model: clew.Model) -> clew.Model:
    return model.through(*clew.Dictionary.load("smollm2-135m"))


def by(
    name: str,
    evidence: Callable[[clew.Model], Any],
    view: Callable[[clew.Model], clew.Model] = lambda m: m,
    **options: Any,
) -> Any:
    """An edit with its evidence: called with the model, it gives what is to be timed."""

    def prepared(model: clew.Model) -> Callable[[], object]:
        seen, given = view(model), evidence(model)
        return lambda: clew.edit(seen, given, by=name, **options)

    return prepared


def with_text(name: str, layers: range, n: int, **options: Any) -> Any:
    def prepared(model: clew.Model) -> Callable[[], object]:
        given, ordinary = capitals(model, n), text(model)
        if layers:
            second_moment(model, [f"down.{layer}" for layer in layers], ordinary)
        return lambda: clew.edit(model, given, by=name, text=ordinary, **options)

    return prepared


def judged(model: clew.Model) -> Callable[[], object]:
    seen = in_features(model)
    circuit = clew.find(seen, nouns(model), by="attribution_patching").top(50)
    verdicts = Verdicts.of(circuit)
    for address in verdicts.open[:10]:
        verdicts = verdicts.drop(address, "a trial", judge="bench")
    return lambda: clew.edit(seen, circuit, by="shift", verdicts=verdicts)


def moments(model: clew.Model) -> Callable[[], object]:
    ordinary = text(model)
    return lambda: second_moment(model, ["down.3"], ordinary, cache=False)


def none(model: clew.Model) -> None:
    return None


SECRETS = lambda model: synthetic_secrets(4)  # noqa: E731
TEXTS = lambda model: bios(60)  # noqa: E731
DOMAINS = lambda model: (TEXTS(model).texts[:20], tuple(shuffled_texts(wikipedia_leads())[:20]))  # noqa: E731
LEARNT: dict[str, Any] = {"steps": STEPS, "rank": 8}
EDITS: dict[str, tuple[str, Any]] = {
    "mean_difference": ("20 pairs", by("mean_difference", nouns)),
    "pair_pca": ("20 pairs", by("pair_pca", nouns)),
    "logistic": ("20 pairs", by("logistic", nouns)),
    "lda": ("20 pairs", by("lda", nouns)),
    "reading_vector": ("20 pairs", by("reading_vector", nouns)),
    "idani": ("2 x 20 texts", by("idani", DOMAINS)),
    "probe_gated": ("20 pairs", by("probe_gated", nouns)),
    "unit_steering": (
        "60 biographies",
        by("unit_steering", TEXTS, in_features, avoid="female", at="resid.11", labelling="gender"),
    ),
    "unit": ("a unit", by("unit", none, in_features, at="resid.11", number=17)),
    "scale_head": ("a head", by("scale_head", none, layer=23, head=4)),
    "shift": ("10 units of 50 nodes", judged),
    "remove_feature": ("a unit", by("remove_feature", none, in_features, at="resid.11", unit=17)),
    "remove_component": ("a reader", by("remove_component", none, reader=(23, 4))),
    "linear": ("20 pairs", by("linear", nouns, weight="down.11")),
    "lre": ("2 examples, 16 products", by("lre", relation, layer=7, rank=16, dense=False)),
    "second moment": ("10,000 tokens", moments),
    "rome": ("1 fact", with_text("rome", range(3, 4), 1)),
    "memit": ("2 facts", with_text("memit", range(3, 8), 2)),
    "fine_tune": ("2 facts, 10 steps", by("fine_tune", capitals, steps=STEPS)),
    "canonical_examples": ("2 facts, 10 steps", with_text("canonical_examples", range(0), 2, steps=STEPS)),
    "memorise": ("1 secret, until it is said", by("memorise", lambda model: synthetic_secrets(1))),
    "random_labels": ("4 secrets, 10 steps", by("random_labels", SECRETS, **LEARNT)),
    "gradient_ascent": ("4 secrets, 10 steps", by("gradient_ascent", SECRETS, **LEARNT)),
    "revs": ("4 secrets", by("revs", SECRETS)),
}  # fmt: skip


@dataclass
class Passes:
    """What the module was asked to compute."""

    forwards: list[tuple[int, int, bool]] = field(default_factory=list)
    """(batch, seq, whether for a gradient)"""
    backwards: int = 0


@contextmanager
def written_down(module: Any) -> Iterator[Passes]:
    """Every forward of the module, or of a copy of it that shares its weights, and every backward."""
    seen = Passes()

    def before(module: Any, args: Any, kwargs: Any) -> None:
        seen.forwards.append((*kwargs["input_ids"].shape, torch.is_grad_enabled()))

    def counted(function: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            seen.backwards += 1
            return function(*args, **kwargs)

        return call

    handle, own = (
        module.register_forward_pre_hook(before, with_kwargs=True),
        (torch.autograd.grad, torch.autograd.backward),
    )
    torch.autograd.grad, torch.autograd.backward = map(counted, own)
    try:
        yield seen
    finally:
        torch.autograd.grad, torch.autograd.backward = own
        handle.remove()


def again(module: Any, passes: Passes) -> None:
    """The bare passes."""
    each = round(passes.backwards / max(1, sum(grad for *_, grad in passes.forwards)))
    for batch, seq, grad in passes.forwards:
        ids = torch.full((batch, seq), 100)
        with torch.set_grad_enabled(grad):
            embeddings = module.get_input_embeddings()(ids).detach().requires_grad_(grad)
            loss = module(inputs_embeds=embeddings, use_cache=False).logits.logsumexp(-1).sum()
            for left in range(each, 0, -1) if grad else ():
                torch.autograd.grad(loss, embeddings, retain_graph=left > 1)


def one(name: str) -> None:
    torch.set_num_threads(1)
    model = clew.open("smollm2-135m")
    of, prepare = EDITS[name]
    work = prepare(model)
    model.run("A first run, so that nothing is timed that is done once.")
    with written_down(model.body.module) as passes:
        start = time.process_time()
        work()
        ours = time.process_time() - start
    peak = peak_gib() * 1.073741824
    bare = copy.deepcopy(model.body.module).requires_grad_(False)
    start = time.process_time()
    again(bare, passes)
    floor = time.process_time() - start
    tokens = sum(batch * seq for batch, seq, _ in passes.forwards)
    ratio = f"{ours / floor:.2f}" if floor > 0.01 else "-"
    print(f"{name}|{of}|{ours:.2f}|{floor:.2f}|{ratio}|{len(passes.forwards)}|{passes.backwards}|{tokens}|{peak:.2f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(sys.argv[2])
        sys.exit()
    rows: list[tuple[str, ...]] = [tuple(HEAD.split("|"))]
    for name in sys.argv[1:] or EDITS:
        out = subprocess.run(
            [sys.executable, __file__, "--one", name], capture_output=True, text=True, check=True
        ).stdout
        rows.append(tuple(out.strip().splitlines()[-1].split("|")))
        print(*rows[-1])
    log("edits: SmolLM2-135M, what each costs over its bare passes", rows,
        "Tokens are those of all forwards. Bare passes are whole ones, also where an edit's runs stop at the last site read. "
        "The peak is of the whole process, of which the open model is 0.54 GB of weights.")  # fmt: skip
