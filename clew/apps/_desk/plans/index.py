"""index: where every unit of a view fires in a text, written down once."""

from __future__ import annotations

from clew.apps._desk.asked import RunAsked, ViewAsked
from clew.apps._desk.plans.plan import MODEL, Work, line, list_option
from clew.apps._desk.plans.texts import TEXT, check_texts, windows_of
from clew.apps._desk.runs import Plan, Teller
from clew.progress import Stopped

ARGS = {**MODEL, **TEXT, "keep": "all firings, or of each unit the top and a sample"}


def plan(work: Work) -> tuple[RunAsked, Plan]:
    """What was stopped goes on: its folder keeps the parts that are done."""
    asked, texts = work.view_asked, check_texts(work)
    if not texts:
        raise ValueError("name texts to read as args.texts: files of the folder, or wikipedia")
    keep, tokens = work.one("keep", str, "all", among=("all", "top")), work.one("tokens", int, 100_000)
    work, result = work.named(f"{asked.model}-index", "")
    command = line(
        ["index", asked.model, _said(asked)],
        texts,
        ["--to", result, f"--tokens={tokens}", "--keep", keep],
        list_option("--layers", asked.layers),
        [f"--context={context}"] if (context := work.one("context", int)) else [],
    )

    def run(tell: Teller) -> str:
        import clew

        view = work.view(asked, tell, 0.05)
        tell.part("reading and cutting the text", 0.05, 0.1)
        windows = windows_of(work, view, tokens)
        chosen = list(view.model.dictionaries.values())
        tell.part(f"indexing {len(chosen)} sites", 0.1, 1.0)
        found = clew.index(view.model, chosen, windows, to=work.path(result), keep=keep, progress=tell)
        if found is None:
            raise Stopped("other processes are at this index", result)
        return result

    return work.asked, Plan(f"index of {', '.join(texts)}", command, True, run, work.gate)


def _said(asked: ViewAsked) -> str:
    """The dictionaries in a word of the command line."""
    if asked.heads or asked.components:
        return "heads" if asked.heads else "components"
    return ",".join(asked.through) or "neurons"
