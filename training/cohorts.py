"""The cohorts that a run predicts, by the names of their folders: ``<dataset>-<what>``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from data_sharding.schema import Manifest
from training.config import Config

#: Of the train split, what this fold's model has not learnt from.
HELD_OUT = "heldout"
#: The cohort of a cross-validation's out-of-fold rows is called so, after the dataset.
TRAIN = "-train"


@dataclass(frozen=True)
class Cohort:
    """A split of a dataset, or its held-out part."""

    place: Path | str
    split: str
    what: str

    def of(self, dataset: str) -> str:
        """The cohort's name."""
        return f"{dataset}-{self.what}"


def cohorts(config: Config) -> Iterator[Cohort]:
    """Tune and test, the part that is held out, the external sites, and those without labels.

    With ``predict=tune`` the tune split alone.
    """
    paths = config.paths
    yield Cohort(paths.internal, "tune", "tune")
    if config.predict == "tune":
        return
    yield Cohort(paths.internal, "test", "test")
    if config.data.folds > 1:
        yield Cohort(paths.internal, "train", HELD_OUT)
    for place in paths.external:
        yield Cohort(place, "external", "external")
    for place in paths.unlabelled:
        yield Cohort(place, "public", "public")


def cohort_names(config: Config, manifests: Mapping[str, Manifest]) -> list[str]:
    """Of `cohorts`; `manifests` are the run's, by the places that the settings name."""
    return [cohort.of(manifests[str(cohort.place)].name) for cohort in cohorts(config)]
