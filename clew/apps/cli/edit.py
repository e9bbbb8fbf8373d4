"""clew edit: compute a change of a model, save it, and see what it does."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from clew.apps.cli._evidence import facts_of, labelled_texts, only_one, secrets_of, stack_of, text_windows
from clew.apps.cli._options import options_of
from clew.apps.cli._terminal import Flag, Json, Several, aside, bar, open_behaviour, open_lens, say, working


@options_of("edits", {"--facts": "rome", "--prompt": "rome", "--secrets": "revs", "--circuit": "shift"})
def edit(
    model: str,
    behaviour: str | None = None,
    /,
    *,
    by: str = "mean_difference",
    prompt: str | None = None,
    subject: str | None = None,
    target: str | None = None,
    old: str = "",
    facts: str | None = None,
    secrets: Path | None = None,
    labelled: str | None = None,
    circuit: Path | None = None,
    through: Annotated[tuple[Path, ...], Several] = (),
    on: Annotated[tuple[Path, ...], Several] = (),
    text: Annotated[tuple[str, ...], Several] = (),
    text_tokens: int = 20_000,
    context: int = 64,
    budget: float | None = None,
    tries: Annotated[
        tuple[str, ...], Parameter(name="--try", consume_multiple=True, negative="", show_default=False)
    ] = (),
    max_new_tokens: int = 20,
    out: Path = Path("edit.safetensors"),
    examples: int | None = None,
    metric: str | None = None,
    all_pairs: Flag = False,
    dtype: str | None = None,
    device: str | None = None,
    json: Json = False,
    **options: Any,
) -> None:
    """Compute an edit from evidence and save it; the model itself is never changed. More options come from the edit:
    `clew edit --by NAME --help`.

    The evidence is one of: a behaviour, --prompt with --subject and --target, --facts, --secrets, --labelled, --circuit; or
    none, for an edit that needs none (`unit`, `scale_head`).

    Parameters
    ----------
    model
        A bundled name (`clew models`), a folder, a GGUF file or a hub id.
    behaviour
        A bundled name (`clew behaviours`) or a file; steering goes towards its clean prompts.
    by
        How it is computed: a file of clew/edits. For facts rome, for secrets revs, for a circuit shift by default.
    prompt
        A statement with {} where the subject goes, as in "The capital of {} is".
    subject
        What it is about.
    target
        What the model shall say instead.
    old
        What it says now; measures of the edit need it.
    facts
        A file of facts (ours, CounterFact, LRE), or a number: that many of clew's own that the model knows.
    secrets
        JSON lines of prompts and what must not follow them.
    labelled
        JSON lines of labelled texts, or `bios`, `word_classes`, `first_letters`, which clew generates.
    circuit
        What `clew find` saved.
    through
        The dictionaries through which the model is seen.
    on
        Files of edits that are in force already; the new one is made upon them, and saved without them.
    text
        Ordinary text, for the budget and for edits that take statistics of some: files or folders, `wikipedia`.
    text_tokens
        How much of it.
    context
        Longest window of it in tokens.
    budget
        How much the loss on the text may rise, as a share of it; the edit is made weaker until that holds.
    tries
        Prompts to continue, before and after.
    max_new_tokens
        How long the continuations are.
    out
        Where to save it.
    examples
        How many prompt pairs at most.
    metric
        What is measured on the behaviour's answer; its own by default.
    all_pairs
        Also use the pairs that the model gets wrong; they are left out by default.
    dtype
        float32, float16, bfloat16 or float64.
    device
        Where to run: cpu, cuda, cuda:1, mps.
    """
    if budget is not None and not text:
        raise ValueError("a budget is held on a text; give --text FILE, or --text wikipedia")
    stated = {"--prompt": prompt, "--subject": subject, "--target": target}
    if any(stated.values()) and not all(stated.values()):
        missing = [name for name, value in stated.items() if not value]
        raise ValueError(f"a fact has a prompt, a subject and a target; not given: {' and '.join(missing)}")
    given = {
        "BEHAVIOUR": bool(behaviour),
        "--prompt": bool(prompt),
        "--facts": bool(facts),
        "--secrets": bool(secrets),
        "--labelled": bool(labelled),
        "--circuit": bool(circuit),
    }
    which = only_one(given, "as `clew edit --help` says") if any(given.values()) else ""
    lens = open_lens(model, through=through, dtype=dtype, device=device)
    import clew
    from clew.finder import load

    if on:
        lens = lens.edited(stack_of(on, lens))
        aside(f"made upon the edits of {', '.join(map(str, on))}, which are not saved with it")
    ways = {
        "": lambda: None,
        "BEHAVIOUR": lambda: open_behaviour(str(behaviour), lens, examples, metric, all_pairs),
        "--prompt": lambda: _fact(prompt, subject, target, old),
        "--facts": lambda: facts_of(lens, str(facts)),
        "--secrets": lambda: secrets_of(Path(str(secrets))),
        "--labelled": lambda: labelled_texts(lens, str(labelled)),
        "--circuit": lambda: clew.Circuit.load(str(circuit)),
    }
    evidence = ways[which]()
    windows = text_windows(lens, text, text_tokens, context) if text else None
    tells = budget is not None or "progress" in signature(load("edits", by)).parameters
    with (bar if tells else working)(f"{by.replace('_', ' ')} on {model}") as tell:
        options |= {"progress": tell} if tells else {}
        stack = clew.edit(lens, evidence, by=by, text=windows, budget=budget, **options)
    stack.save(out)
    edited = lens.edited(stack)
    shown = [_tried(lens, edited, asked, max_new_tokens) for asked in tries]
    lines = [str(stack), f"saved as {out}"]
    for one in shown:
        lines += ["", f"before  {one['before']}", f"after   {one['after']}", *(f"        {r}" for r in one["receipts"])]
    value = {
        "edit": str(out),
        "by": by,
        "name": stack.name,
        "edits": [str(e) for e in stack],
        "about": dict(stack.about),
    }
    say("\n".join(lines), {**value, "tries": shown}, json)
    if not json:
        source = behaviour or (f"--facts {facts}" if facts else f"--secrets {secrets}" if secrets else "--text FILE")
        seen = "".join(f" --through {path}" for path in through)
        aside(f"next: clew verify {model} {source} --edit {' '.join(map(str, [*on, out]))}{seen}")


def _fact(prompt: Any, subject: Any, target: Any, old: str) -> Any:
    from clew.data.facts.facts import Facts

    return Facts.one(prompt, subject, target, old)


def _tried(before: Any, after: Any, prompt: str, length: int) -> dict[str, Any]:
    """What both models write, and where the edits were at work."""
    from clew.models import EditDidNotFire

    def written(model: Any) -> tuple[str, Sequence[Any]]:
        try:
            made = model.generate(prompt, max_new_tokens=length)
        except EditDidNotFire as error:
            return f"not run: {error}", ()
        return made.texts[0], made.receipts

    text, receipts = written(after)
    return {"prompt": prompt, "before": written(before)[0], "after": text, "receipts": [str(r) for r in receipts]}
