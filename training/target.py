"""What is learnt of a pack's labels, by the names of its classes.

One dataset of three classes serves three models: osteoporosis against the rest (a first stage), low
bone mass against normal among those without osteoporosis (OsPenScreen), and all three at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from data_sharding.schema import Manifest

#: A packed class as one of three, where its name says which.
CATEGORY = {"normal": 0, "low bone mass": 1, "osteopenia": 1, "osteoporosis": 2}


#: What a model of three classes says of each, in predictions.
CLASS_COLUMNS = ("p_normal", "p_low_bone_mass", "p_osteoporosis")


@dataclass(frozen=True)
class Target:
    """`of` takes the name of a packed class to the number that is learnt; None leaves it out."""

    positive: str  # what `probability` in predictions is of
    policy: str  # a label policy that serves
    classes: tuple[str, ...]
    of: Mapping[str, int | None]

    def check(self, manifest: Manifest) -> None:
        """Whether a dataset's labels can be learnt.

        Raises:
            ValueError: it has another kind of classes, or none of one that is to be learnt.
        """
        known = [self.of.get(c, -1) for c in manifest.classes]
        if -1 in known or set(range(len(self.classes))) - set(known):
            raise ValueError(
                f"{manifest.name}: labelled {' / '.join(manifest.classes) or 'by nobody'}"
                f"{' by ' * bool(manifest.policy)}{manifest.policy}, but this learns "
                f"{' / '.join(self.classes)}: pack it with --policy {self.policy}"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The classes as names of groups in what is tracked."""
        return tuple(name.replace(" ", "_") for name in self.classes)

    def labels(self, manifest: Manifest, index: pd.DataFrame) -> pd.Series:
        """Int64 [len(index)]: the number of each row's class, missing where it has none."""
        numbers = {n: self.of.get(name) for n, name in enumerate(manifest.classes)}
        return _translated(index, numbers)


def category(manifest: Manifest, index: pd.DataFrame) -> pd.Series:
    """Int64 [len(index)]: 0 normal, 1 low bone mass, 2 osteoporosis; missing where nobody says."""
    return _translated(index, {n: CATEGORY.get(c) for n, c in enumerate(manifest.classes)})


def _translated(index: pd.DataFrame, numbers: Mapping[int, int | None]) -> pd.Series:
    known = {n: number for n, number in numbers.items() if number is not None}
    packed = index["label"].astype("Int64")
    out = packed.map(lambda n: known.get(n, pd.NA), na_action="ignore")
    return pd.Series(out.to_numpy(object, na_value=pd.NA), index.index).astype("Int64")


TARGETS = {
    "low bone mass": Target(
        "low bone mass",
        "ospenscreen/1",
        ("normal", "low bone mass"),
        {"normal": 0, "low bone mass": 1, "osteopenia": 1, "osteoporosis": None},
    ),
    "osteoporosis": Target(
        "osteoporosis",
        "li2026/1",
        ("not osteoporosis", "osteoporosis"),
        {
            **dict.fromkeys(("not osteoporosis", "normal", "low bone mass", "osteopenia"), 0),
            "osteoporosis": 1,
        },
    ),
    "three classes": Target(
        "low bone mass or osteoporosis",
        "three-class/1",
        ("normal", "low bone mass", "osteoporosis"),
        CATEGORY,
    ),
}
