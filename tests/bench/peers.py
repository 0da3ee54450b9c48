"""The same pictures stored and read by webdataset, litdata, mosaicml-streaming and torchvision.

    make bench    # installs litdata and mosaicml-streaming beside the environment first

Each as its own documentation recommends for speed: raw uint8 in its own shards, files that are
already local, stored order, batches made in the loader's workers, workers that live on between
epochs. ImageFolder keeps PNGs, as it cannot keep anything raw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, default_collate
from torchvision.datasets import ImageFolder
from webdataset import ShardWriter, WebDataset, WebLoader

try:
    import litdata
    import streaming
except ImportError as e:
    raise SystemExit(f"{e}: `make bench` installs what is compared with") from e

SHARD_BYTES = 64 << 20  # of every library's shards
PEERS = ("webdataset", "litdata", "mosaicml-streaming", "ImageFolder of PNGs")
Pictures = Callable[[], Iterable[np.ndarray]]  # a fresh pass over all of them, uint8 [H, W]


def as_tensor(picture: np.ndarray) -> torch.Tensor:
    """What litdata's writer is given, and webdataset's batches are made of."""
    return torch.from_numpy(picture)


def first(sample: tuple[torch.Tensor]) -> torch.Tensor:
    return sample[0]


def write_all(pictures: Pictures, folder: Path) -> None:
    """Store every picture once for each peer, in this order, under `folder`."""
    shape = next(iter(pictures())).shape
    per_shard = SHARD_BYTES // (shape[0] * shape[1])
    (folder / "webdataset").mkdir()
    pattern = str(folder / "webdataset" / "%05d.tar")
    with ShardWriter(pattern, maxcount=per_shard, verbose=0) as writer:
        for n, picture in enumerate(pictures()):
            writer.write({"__key__": f"{n:06d}", "npy": picture})
    (folder / "png" / "all").mkdir(parents=True)
    for n, picture in enumerate(pictures()):
        cv2.imwrite(str(folder / "png" / "all" / f"{n:06d}.png"), picture)
    columns = {"image": f"ndarray:uint8:{shape[0]},{shape[1]}"}
    out = str(folder / "mosaicml-streaming")
    with streaming.MDSWriter(out=out, columns=columns, size_limit=SHARD_BYTES) as writer:
        for picture in pictures():
            writer.write({"image": picture})
    litdata.optimize(
        as_tensor,
        [np.array(picture) for picture in pictures()],
        str(folder / "litdata"),
        chunk_bytes=SHARD_BYTES,
        num_workers=1,
        verbose=False,
    )


def load_grey(path: str) -> torch.Tensor:
    with Image.open(path) as picture:
        return torch.from_numpy(np.array(picture))


class Peers:
    """All readers, opened once; `one_by_one` and `batches` start a new pass over the pictures."""

    def __init__(self, folder: Path) -> None:
        self.tars = sorted(str(path) for path in (folder / "webdataset").iterdir())
        self.litdata = str(folder / "litdata")
        self.mosaic = str(folder / "mosaicml-streaming")
        self.pngs = ImageFolder(str(folder / "png"), loader=load_grey)
        self._single = {
            "litdata": litdata.StreamingDataset(self.litdata, shuffle=False),
            "mosaicml-streaming": self._mosaic(1),
        }

    def one_by_one(self, name: str) -> Iterator[np.ndarray]:
        """The pictures as the library hands them out, in this process."""
        if name == "webdataset":
            tars = WebDataset(self.tars, shardshuffle=False).decode(only="npy")
            return (sample["npy"] for sample in tars)
        if name == "litdata":
            return (tensor.numpy() for tensor in self._single[name])
        if name == "mosaicml-streaming":
            return (sample["image"] for sample in self._single[name])
        return (self.pngs[n][0].numpy() for n in range(len(self.pngs)))

    def batches(self, name: str, batch: int, workers: int) -> Iterable[torch.Tensor]:
        """A loader of uint8 [batch, H, W], to be passed over many times."""
        kept: dict[str, Any] = {"num_workers": workers, "persistent_workers": workers > 0}
        kept["multiprocessing_context"] = "fork" if workers else None  # litdata makes spawn usual
        if name == "webdataset":
            tars = WebDataset(self.tars, shardshuffle=False).decode(only="npy").to_tuple("npy")
            pictures = tars.map_tuple(as_tensor).map(first)
            whole = pictures.batched(batch, collation_fn=default_collate)
            return WebLoader(whole, batch_size=None, **kept)
        if name == "litdata":
            data = litdata.StreamingDataset(self.litdata, shuffle=False)
            return litdata.StreamingDataLoader(data, batch_size=batch, **kept)
        if name == "mosaicml-streaming":
            return _Column(DataLoader(self._mosaic(batch), batch_size=batch, **kept), "image")
        return _Column(DataLoader(self.pngs, batch_size=batch, **kept), 0)

    def _mosaic(self, batch: int) -> streaming.StreamingDataset:
        return streaming.StreamingDataset(local=self.mosaic, shuffle=False, batch_size=batch)


class _Column:
    """One column of the batches of a loader."""

    def __init__(self, loader: DataLoader, column: str | int) -> None:
        self.loader, self.column = loader, column

    def __iter__(self) -> Iterator[torch.Tensor]:
        return (batch[self.column] for batch in self.loader)
