"""A store: activations of many sites over one text, recorded in one pass, on disk in shards.

A shard is one safetensors file over a fixed run of windows: `tokens`, `documents`, of chats `classes`, and one tensor
[token, d] per site. A shard depends on nothing but its windows and is written whole, so a killed recording goes on
where it stopped, and several processes can share one.
"""

from __future__ import annotations

# torch and transformers leave arguments of their methods without a type:
# pyright: reportUnknownMemberType=false
import json
from collections.abc import Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from clew.data.text.windows import Windows
from clew.doors import door
from clew.evidence import Given
from clew.files import DAMAGE, check_whole, entries, entry, parse_json, read_json, whole
from clew.models import Model
from clew.progress import Tell
from clew.readings._recording import MADE_IN, check_same, groups, is_whole, made_in, plant, windows_of
from clew.readings.source import ROUND, checked_sites, harvest, permutation, place, shared_rounds
from clew.scale.alone import alone
from clew.sites import Site
from clew.tensors import Tensors, check_floats, open_tensors, read_header, read_shapes, write_tensors

FORMAT, VERSION = "clew store", 2
PLAN = "store.json"
KINDS: dict[str, type[Any]] = {
    "format": str,
    "version": int,
    **MADE_IN,
    "sites": dict,
    "dtype": str,
    "tokens": int,
    "shard": int,
    "shards": int,
    "policy": dict,
}
"""What the plan of a recording holds."""
Dtype = Literal["float16", "bfloat16", "int8", "float32"]


@dataclass(frozen=True)
class Store:
    """Recorded activations, a source to train from; opened by `Store.load`, made by `record`."""

    folder: Path
    about: Mapping[str, Any]
    """How it was recorded: model, sites, dtype, tokens, and the policy of the windows."""
    rows: int = ROUND
    """About how many rows make a round."""
    seed: int = 0
    """Of the order of the shards, a new one every epoch."""
    rank: int = 0
    """Which of `world` processes this is; each learns from its own rounds."""
    world: int = 1

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        round: int = ROUND,
        seed: int = 0,
        rank: int | None = None,
        world: int | None = None,
    ) -> Store:
        """Open what `record` wrote. Raises: ValueError naming the file and what is wrong with it.

        Args: round: about how many rows make a round. seed: of the order of the shards. rank, world: this process and
            how many learn together; asked of torch.distributed, or of torchrun's environment, when left out.
        """
        with whole(Path(folder) / PLAN, "store"):
            store = cls(Path(folder), _plan(Path(folder)), round, seed, *place(rank, world))
            store.check_whole()
            return store

    def __repr__(self) -> str:
        sites, model = ", ".join(self.about["sites"]), self.about["model"]
        return f"Store({str(self.folder)!r}: {len(self)} tokens of {model} at {sites}, {self.about['dtype']})"

    @property
    def sites(self) -> list[Site]:
        return [Site.parse(s) for s in self.about["sites"]]

    @property
    def policy(self) -> Mapping[str, Any]:
        """How the text was cut into windows."""
        return self.about["policy"]

    @property
    def shards(self) -> list[Path]:
        return [_shard(self.folder, number) for number in range(self.about["shards"])]

    @property
    def rounds(self) -> int:
        return shared_rounds(max(1, round(len(self) / self.rows)), self.about["shards"], self.world, "shards")

    def round(self, number: int, sites: Sequence[Site] | None = None) -> dict[Site, Float[Tensor, "token d"]]:
        """Shards from all over the text, in the dtype they were recorded in (int8 as float32)."""
        epoch, inside = divmod(number, self.rounds)
        parts_of_epoch = permutation(self.about["shards"], self.seed, epoch).tensor_split(self.rounds * self.world)
        order = cast("list[int]", parts_of_epoch[inside * self.world + self.rank].tolist())
        parts: dict[Site, list[Tensor]] = {site: [] for site in sites or self.sites}
        for path in (_shard(self.folder, number) for number in order):
            with _opened(path) as file:
                for site in parts:
                    parts[site].append(self._values(file, site))
        return {site: torch.cat(some) for site, some in parts.items()}

    def __len__(self) -> int:
        return int(self.about["tokens"])

    def __getitem__(self, site: Site | str) -> Float[Tensor, "token d"]:
        """All activations of one site, float32, in the order of the windows."""
        site = Site.parse(site)
        if site not in self.sites:
            raise KeyError(f"{site} was not recorded in {self.folder}; recorded were {', '.join(self.about['sites'])}")
        whole, done = torch.empty(len(self), self.about["sites"][str(site)]), 0
        for path in self.shards:
            with _opened(path) as file:
                part = self._values(file, site)
                whole[done : done + len(part)] = part
                done += len(part)
        return whole

    @property
    def tokens(self) -> Int[Tensor, " token"]:
        """The token at each recorded position."""
        return self._column("tokens")

    @property
    def documents(self) -> Int[Tensor, " token"]:
        """Which text each recorded position came from."""
        return self._column("documents")

    @property
    def classes(self) -> Int[Tensor, " token"] | None:
        """Of chats: the token class of each recorded position, as an index into `clew.data.text.texts.CLASSES`."""
        return self._column("classes") if self.policy["packing"] == "chats" else None

    @property
    def lost(self) -> dict[Site, float]:
        """What the dtype of the store lost of each site: squared error over the variance within shards."""
        sums = {site: torch.zeros(2, dtype=torch.float64) for site in self.sites}
        for path in self.shards:
            with _opened(path):
                said = parse_json(read_header(path)["lost"], "what it lost")
                check_whole(said, self.about["sites"], "what it lost")
                for site in sums:
                    two = entries(said, str(site), float, origin="what it lost", at_least=0)
                    sums[site] += torch.tensor(two, dtype=torch.float64)
        return {site: float(error / variance.clamp(min=1e-300)) for site, (error, variance) in sums.items()}

    def _column(self, name: str) -> Tensor:
        parts: list[Tensor] = []
        for path in self.shards:
            with _opened(path) as file:
                part = file.get_tensor(name)
                if part.is_floating_point() or bool((part < 0).any()):
                    raise ValueError(f"its {name} are no numbers from 0 on")
                parts.append(part)
        return torch.cat(parts)

    def _values(self, file: Tensors, site: Site) -> Tensor:
        """Activations of a shard as they were recorded, int8 as float32."""
        x, dtype = file.get_tensor(str(site)), self.about["dtype"]
        if dtype == "int8":
            scale = file.get_tensor(f"{site}/scale")
            if x.dtype != torch.int8:
                raise ValueError(f"{site} is of {x.dtype}; int8 was recorded")
            check_floats({f"{site}/scale": scale}, "it")
            return _wide(x, scale)
        if str(x.dtype).removeprefix("torch.") not in (dtype, "float32"):
            raise ValueError(f"{site} is of {x.dtype}; {dtype} was recorded")
        check_floats({str(site): x}, "it")
        return x

    def check_whole(self) -> None:
        """Raises: ValueError while shards are missing, and for shards that do not hold what was recorded."""
        there = sum(1 for _ in self.folder.glob("shard-*.safetensors"))
        if there < self.about["shards"] or not all(path.exists() for path in self.shards):
            raise ValueError(
                f"{self.folder} holds {there} of {self.about['shards']} shards; record again with the same arguments "
                "to go on where it stopped"
            )
        rows = sum(self._rows(path) for path in self.shards)
        if (there, rows) != (self.about["shards"], self.about["tokens"]):
            promised = f"{self.about['shards']} shards of {self.about['tokens']} tokens"
            raise ValueError(f"{self.folder / PLAN} speaks of {promised}; the folder holds {there} of {rows}")

    def _rows(self, path: Path) -> int:
        """How many tokens a shard holds, by its header. Raises: ValueError for other tensors than were recorded."""
        shapes, chats = read_shapes(path), self.policy["packing"] == "chats"
        rows = shapes.get("tokens", (0,))[0]
        wanted: dict[str, tuple[int, ...]] = {"tokens": (rows,), "documents": (rows,)}
        wanted |= {"classes": (rows,)} if chats else {}
        for site, width in self.about["sites"].items():
            wanted |= {site: (rows, width)} | ({f"{site}/scale": (rows,)} if self.about["dtype"] == "int8" else {})
        if odd := sorted({name for name, _ in shapes.items() ^ wanted.items()}):
            raise ValueError(
                f"{path} is no whole shard of a store (it does not hold {', '.join(odd)} as recorded); remove it and "
                "record again"
            )
        return rows


@door()
def record(
    model: Model,
    texts: Given | Iterable[Given] | Windows,
    *,
    sites: Sequence[Site | str],
    to: str | Path,
    tokens: int | None = None,
    dtype: Dtype = "float16",
    batch: int = 2048,
    shard: int = 8192,
    rank: int | None = None,
    world: int | None = None,
    progress: Tell | None = None,
) -> Store:
    """Run texts once and keep what flows at the sites.

    Args:
        texts: cut into windows as `clew.data.text.windows.cut` does by default; or windows that are cut already, by its
            options or from chats; or rows of ids, which are windows as they are, such as `model.show` gives for pictures.
        sites: recorded in the same pass, which stops at the last of them.
        to: the folder; a recording that was killed there goes on where it stopped.
        tokens: how many positions to record, to the end of a window, fewer if there are no more; 100,000 of texts and rows,
            and all of windows, by default.
        dtype: on disk. float16 where it fits (a site with larger values is kept in float32); int8 is half of it, with
            one float32 scale per row; `Store.lost` says what that cost.
        batch: tokens that run at once; a GPU wants more.
        shard: about how many positions share a file.
        rank, world: this process and how many there are; each writes every world-th shard. Asked of torch.distributed,
            or of torchrun's environment, when left out.
        progress: called with (recorded, wanted) of this process.

    Returns: the Store; with several processes it can be read when all are done.
    Raises: ValueError when the folder holds a recording made otherwise, or another process records into it.
    """
    if dtype not in get_args(Dtype):
        raise ValueError(f"a store cannot hold {dtype!r}; choose from {', '.join(get_args(Dtype))}")
    chosen, (rank, world) = checked_sites(model, sites), place(rank, world)
    windows = windows_of(model, texts, tokens)
    parts = groups(windows, shard)
    folder = Path(to)
    about = {
        "format": FORMAT,
        "version": VERSION,
        **made_in(model),
        "sites": {str(s): model.body.widths[s] for s in chosen},
        "dtype": dtype,
        "tokens": windows.tokens,
        "shard": shard,
        "shards": len(parts),
        "policy": dict(windows.policy),
    }
    mine = [(number, windows.take(part)) for number, part in enumerate(parts) if number % world == rank]
    begun = (folder / PLAN).exists()
    if begun:
        check_same(folder, about, _plan(folder), "recording")
    done = begun and all(is_whole(_shard(folder, number)) for number, _ in mine)
    with nullcontext() if done else alone(folder, "recording", lock=f".{rank}.lock"):
        if not done:
            plant(folder / PLAN, about, _plan, "recording")
        _write(model, chosen, mine, folder, dtype, batch, progress)
    store = Store(folder, about, rank=rank, world=world)
    if world == 1:
        store.check_whole()
    return store


def _write(
    model: Model,
    sites: list[Site],
    shards: list[tuple[int, Windows]],
    folder: Path,
    dtype: Dtype,
    batch: int,
    progress: Tell | None,
) -> None:
    """Make the shards that are missing; the disk writes one while the model runs the next."""
    done, wanted = 0, sum(some.tokens for _, some in shards)
    with ThreadPoolExecutor(1) as writer:
        last: Future[Any] | None = None
        for number, some in shards:
            path = _shard(folder, number)
            if not is_whole(path):
                tensors, lost = _run(model, sites, some, dtype, batch)
                if last:
                    last.result()
                last = writer.submit(_save, path, tensors, lost)
            done += some.tokens
            if progress:
                progress(done, wanted)
        if last:
            last.result()


def _run(
    model: Model, sites: list[Site], windows: Windows, dtype: Dtype, batch: int
) -> tuple[dict[str, Tensor], dict[str, list[float]]]:
    """The tensors of a shard, and for each site the squared error of its dtype and the variance."""
    tensors = {
        "tokens": windows.flat[windows.kept],
        "documents": windows.document.int().repeat_interleave(windows.kept_lengths),
    }
    if windows.flat_classes is not None:
        tensors["classes"] = windows.flat_classes[windows.kept]
    lost: dict[str, list[float]] = {}
    for site, x in harvest(model, windows, sites, batch).items():
        if not bool(x.isfinite().all()):
            raise ValueError(f"what flows at {site} is not finite; open the model in a wider dtype, such as float32")
        kept = _narrow(x, dtype)
        error = (_wide(*kept) - x.float()).square().sum(dtype=torch.float64)
        variance = (x.float() - x.float().mean(0)).square().sum(dtype=torch.float64)
        lost[str(site)] = [float(error), float(variance)]
        tensors |= {name: t.cpu() for name, t in zip((str(site), f"{site}/scale"), kept, strict=False)}
    return tensors, lost


def _narrow(x: Float[Tensor, "token d"], dtype: Dtype) -> tuple[Tensor, ...]:
    """As it goes to disk: the values and, of int8, the scale of each row."""
    if dtype == "int8":
        scale = x.float().abs().amax(1) / 127
        return (x.float() / scale.clamp(min=1e-30)[:, None]).round_().to(torch.int8), scale
    if dtype == "float16" and not bool((x.abs() < 65_000).all()):
        return (x.float(),)
    return (x.to(getattr(torch, dtype)),)


def _wide(x: Tensor, scale: Tensor | None = None) -> Tensor:
    """What was narrowed, as float32."""
    return x.float() if scale is None else x.float() * scale[:, None]


def _plan(folder: Path) -> dict[str, Any]:
    """What is recorded in a folder. Raises: ValueError naming the file and the place in it."""
    plan, origin = read_json(folder / PLAN, FORMAT), str(folder / PLAN)
    if plan.get("version") != VERSION:
        raise ValueError(
            f"{folder} is a store of version {plan.get('version')}, and this clew reads {VERSION}; record it "
            "again in another folder"
        )
    check_whole(plan, KINDS, origin)
    for name, kind in KINDS.items():
        entry(plan, name, kind, origin=origin, **({"at_least": 1} if kind is int else {}))
    for site in plan["sites"]:
        Site.parse(site)
        entry(plan["sites"], site, int, origin=f"{origin}: sites", at_least=1)
    entries(plan, "edits", str, origin=origin)
    entry(plan, "dtype", str, origin=origin, among=get_args(Dtype))
    entry(plan["policy"], "packing", str, origin=f"{origin}: policy")
    return plan


def _shard(folder: Path, number: int) -> Path:
    return folder / f"shard-{number:05d}.safetensors"


def _save(path: Path, tensors: dict[str, Tensor], lost: dict[str, list[float]]) -> None:
    write_tensors(path, tensors, {"lost": json.dumps(lost)})


@contextmanager
def _opened(path: Path) -> Generator[Tensors]:
    """A shard mapped into memory: only what is asked for is read."""
    try:
        with open_tensors(path) as file:
            yield file
    except DAMAGE as error:
        raise ValueError(f"{path} is no whole shard of a store ({error}); remove it and record again") from error
