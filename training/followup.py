"""Days to a first fracture, or to when last seen, as they travel with samples that are learnt from.

A batch carries one whole number a sample, its label. That of a followed patient is
``256 * days + fracture``: its lowest byte is the class by which batches are stratified, so that
each holds its share of fractures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from data_sharding.reader import ShardDataset
from training.config import Fracture

#: More than a human life: days above are another unit.
LONGEST_DAYS = 60_000


@dataclass(frozen=True)
class Followed:
    """The followed samples of a dataset.

    rows: int64 [N], of its index; days: int64 [N], at least 0; event: int64 [N], 1 for a fracture.
    """

    rows: np.ndarray
    days: np.ndarray
    event: np.ndarray

    @property
    def coded(self) -> np.ndarray:
        """Labels for a `Group`, int64 [N]."""
        return 256 * self.days + self.event

    @classmethod
    def of_index(cls, index: pd.DataFrame, name: str) -> Followed:
        """Of the index of a dataset called `name`.

        Raises:
            ValueError: fractures that are not 0 or 1, days that cannot be, or one without the
                other.
        """
        known = index["fracture"].notna().to_numpy(bool)
        if (known != index["followup_days"].notna().to_numpy(bool)).any():
            raise ValueError(f"{name}: fracture and followup_days go together: pack it again")
        rows = np.flatnonzero(known)
        days, event = (
            index[column].to_numpy(np.float64, na_value=np.nan)[rows].astype(np.int64)
            for column in ("followup_days", "fracture")
        )
        if ((days < 0) | (days > LONGEST_DAYS) | (event < 0) | (event > 1)).any():
            raise ValueError(
                f"{name}: fractures are 0 or 1, days 0 to {LONGEST_DAYS}: pack it again"
            )
        return cls(rows, days, event)

    @classmethod
    def of(cls, data: ShardDataset) -> Followed:
        """Of a dataset or a split of it."""
        return cls.of_index(data.index, data.manifest.name)


def check_followed(indexes: Mapping[str, pd.DataFrame], settings: Fracture) -> None:
    """Whether a survival model can be learnt from datasets, by name, and judged on them.

    Raises:
        ValueError: a split to learn from or tune on has no fracture, all who are followed in the
            train split have one, or nobody of the tune split
            is followed up to the horizon.
    """
    for name, index in indexes.items():
        for split in ("train", "tune"):
            here = index.loc[index["split"].eq(split)]
            if not len(here):
                continue
            found = Followed.of_index(here, name)
            if not found.event.any():
                raise ValueError(
                    f"{name}: {len(found.rows)} followed patients in {split}, no fracture among "
                    "them: pack it with a fractures.csv beside dxa.csv"
                )
            if split == "train" and found.event.all():
                raise ValueError(
                    f"{name}: all {len(found.rows)} followed patients in {split} have a fracture, "
                    "none was seen without one: see ledger.csv for rows that were refused, and "
                    "leave fracture_date empty where there was none (no placeholder dates)"
                )
            last = int(found.days.max())
            if split == "tune" and last < settings.horizon_days:
                raise ValueError(
                    f"{name}: nobody in {split} is followed for longer than {last} days: set "
                    f"fracture.horizon_days={last} or less"
                )


def days_of(label_B: torch.Tensor) -> torch.Tensor:
    """Days of coded labels, int64 [B]."""
    return label_B >> 8


def event_of(label_B: torch.Tensor) -> torch.Tensor:
    """1 for a fracture, of coded labels, int64 [B]."""
    return label_B & 255
