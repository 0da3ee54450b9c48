"""What a cross-validation is made of: the runs of its folds, and the folder of the whole."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_sharding.reader import ShardDataset
from data_sharding.schema import canonical_json
from training.config import Config
from training.folder import complete, folder_of, identity_of
from training.overrides import leaves, override
from training.packs import open_packs
from training.recipes import recipe
from training.samples import folds_of


@dataclass(frozen=True)
class Fold:
    """The run that learns from all parts but the `number`-th."""

    number: int
    config: Config
    folder: Path
    identity: str

    @property
    def complete(self) -> bool:
        """Is all of it done?"""
        return complete(self.folder)


@dataclass(frozen=True)
class Plan:
    """The folds of `config` and the folder of the whole."""

    config: Config
    folds: tuple[Fold, ...]
    folder: Path
    identity: str

    @classmethod
    def of(cls, config: Config) -> Plan:
        """The runs that ``config.data.folds`` asks for; nothing is written.

        Raises:
            ValueError: the datasets do not fit together (`open_packs`), or there are fewer patients
                of a class than folds.
        """
        n = config.data.folds
        assert n > 1
        packs = open_packs(config)
        folds_of(config, ShardDataset(config.paths.internal, "train"))
        folds = []
        for k in range(n):
            its = config.model_copy(update={"data": config.data.model_copy(update={"fold": k})})
            identity = identity_of(its, packs)
            folds.append(Fold(k, its, folder_of(its, identity), identity))
        text = canonical_json([fold.identity for fold in folds])
        identity = hashlib.sha256(text.encode()).hexdigest()
        return cls(config, tuple(folds), folder_of(config, identity, f"-folds{n}"), identity)

    def log(self, fold: Fold) -> Path:
        """Where the fold's processes say what they do."""
        return self.folder / "logs" / f"fold-{fold.number}.log"


def words(config: Config) -> list[str]:
    """``RECIPE SECTION.KEY=VALUE ...``: the command line that makes `config`.

    Places are always named: another machine may have another home.
    """
    known = recipe(config.recipe)
    before, after = dict(leaves(_tree(known))), dict(leaves(_tree(config)))
    changed = [n for n in after if n.startswith("paths.") or after[n] != before.get(n, ...)]
    found = [f"{n}={_text(after[n])}" for n in changed]
    assert override(known, found) == config, f"{config.recipe} {found}"
    return [config.recipe, *found]


def _tree(config: Config) -> dict[str, Any]:
    return config.model_dump(mode="json", exclude={"recipe"})


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
