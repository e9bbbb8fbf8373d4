"""What does it cost to find where the sites of a model are, and to read them all?

The floor is a bare pass over the 18 tokens that inference looks at; the kinds are tiny, so their passes are overhead alone,
and what counts there is the ratio. SmolLM2 has a record that we wrote, which is set aside here.
"""

import sys
from pathlib import Path

import torch
from _log import log, seconds

import clew
from clew.models import Model
from clew.models.body import Body
from clew.models.inference.infer import infer

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.models.kinds import KINDS, kind_of


def row(name: str, body: Body) -> tuple[str, ...]:
    module, model = body.module, Model(body)
    vocabulary = int(module.get_input_embeddings().weight.shape[0])
    tokens = torch.randint(3, vocabulary, (2, 9), generator=torch.Generator().manual_seed(0))

    def bare() -> None:
        with torch.no_grad():
            module(input_ids=tokens, use_cache=False)

    sites = model.sites()
    found, one = seconds(lambda: infer(module), bare)
    read, floor = seconds(lambda: model.run(tokens, read=sites, logits=9), bare)
    return name, f"{found / one:.0f}", str(len(sites)), f"{read / floor:.2f}", f"{one * 1000:.1f} ms"


def main() -> None:
    torch.set_num_threads(1)
    rows = [("model", "to infer, over a bare pass", "sites", "every site read, over a bare pass", "bare pass")]
    rows += [row(name, Body(kind_of(name, torch.float32), None, name)) for name in KINDS]
    rows.append(row("smollm2-135m", clew.open("smollm2-135m").body))
    log("Where the sites are: inferred, and all read", rows, "18 tokens.")


if __name__ == "__main__":
    main()
