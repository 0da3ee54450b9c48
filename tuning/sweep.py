"""What a sweep is: a recipe's settings, what is searched in them and how, and its folder.

``<runs>/sweeps/<recipe>-<hash>/`` holds the study (``journal.log``, unless a database does),
``sweep.json`` and ``base.yaml`` (this file's), ``claims/`` and the trials' run folders. The hash is
of the settings, the fixed ones, the data, the space and the way it is searched: the same command
goes on with the same sweep.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.study import StudyDirection
from optuna.trial import BaseTrial

from data_sharding.schema import Manifest, canonical_json, write_atomic
from data_sharding.storage.store import open_place
from training.config import Config
from training.overrides import override
from training.recipes import recipe
from tuning.objectives import check, directions
from tuning.pruners import pruner as pruner_called
from tuning.samplers import sampler as sampler_called
from tuning.spaces import as_overrides, space_of

#: What every trial is set to. Test splits and other sites are not predicted, and so not opened.
OF_A_TRIAL = ("predict=tune", "paths.external=[]", "paths.unlabelled=[]", "track.one_run=true")


@dataclass(frozen=True)
class Sweep:
    """A recipe with the user's own changes, which the search leaves alone, and how it is searched.

    `storage`, `concurrent` and `keep` may be others the next time: they are no part of the folder's
    name.
    """

    recipe: str
    changes: tuple[str, ...]
    base: Config
    folder: Path
    space: str
    sampler: str = "tpe"
    pruner: str = "asha"
    objectives: tuple[str, ...] = ("auroc_low",)
    #: A database's URL; None is ``journal.log`` in the folder.
    storage: str | None = None
    concurrent: int = 1
    keep: int = 3
    warm: Path | None = None

    @classmethod
    def of(
        cls,
        name: str,
        changes: Sequence[str] = (),
        *,
        space: str | None = None,
        sampler: str = "tpe",
        pruner: str = "asha",
        objectives: Sequence[str] = (),
        storage: str | None = None,
        concurrent: int = 1,
        keep: int = 3,
        warm: Path | None = None,
    ) -> Sweep:
        """Resolve the settings and the sweep's folder.

        Args:
            name: of a recipe.
            changes: ``section.key=value``, fixed.
            space: of `tuning.spaces.SPACES`; by default the recipe's.
            sampler: of `tuning.samplers`.
            pruner: of `tuning.pruners`.
            objectives: of `tuning.objectives`; by default ``auroc_low``, a survival model's ``c``.
            storage: URL of a database, which several machines may share.
            concurrent: trials at a time.
            keep: so many of the best keep their weights.
            warm: another sweep's folder, whose best are tried first.

        Raises:
            ValueError: no such recipe, space, setting or name, or a dataset is missing.
        """
        base = override(recipe(name), ["compute.launcher=local", *changes])
        space = space or name.partition(":")[0]
        space_of(space)
        wanted = tuple(objectives) or (("c",) if base.fracture else ("auroc_low",))
        check(wanted, base)
        sampler_called(sampler, 0, 0)
        pruner_called(pruner)
        for option, number in (("--concurrent", concurrent), ("--keep", keep)):
            if number < 1:
                raise ValueError(f"{option} {number}: at least 1")
        warm = warm.absolute() if warm else None
        # Only what is trained and tuned on: the sweep knows nothing of external cohorts.
        data = {"internal": base.paths.internal}
        if base.pseudo.enabled and base.paths.public and not base.alone:
            data["public"] = base.paths.public
        hashes = {role: Manifest.load(open_place(p)[0]).hash for role, p in data.items()}
        identity = base.identity(hashes)
        fixed = sorted(c.partition("=")[0] for c in changes)
        how = [space, sampler, pruner, wanted, warm.name if warm else None]
        digest = hashlib.sha256(canonical_json([identity, fixed, *how]).encode()).hexdigest()[:10]
        folder = base.paths.runs / "sweeps" / f"{name.replace(':', '-')}-{digest}"
        how = (space, sampler, pruner, wanted, storage, concurrent, keep, warm)
        return cls(name, tuple(changes), base, folder, *how)

    @classmethod
    def at(cls, folder: Path, storage: str | None = None) -> Sweep:
        """The sweep that lies in `folder`.

        Args:
            folder: a sweep's.
            storage: URL of the database that holds its study, if one does.

        Raises:
            ValueError: it is no sweep's folder.
        """
        folder = folder.absolute()
        path = folder / "sweep.json"
        try:
            known = json.loads(path.read_text())
            warm = known["warm"]
            return cls(
                recipe=known["recipe"],
                changes=tuple(known["changes"]),
                base=Config.from_yaml(folder / "base.yaml"),
                folder=folder,
                space=known["space"],
                sampler=known["sampler"],
                pruner=known["pruner"],
                objectives=tuple(known["objectives"]),
                storage=storage,
                concurrent=known["concurrent"],
                keep=known["keep"],
                warm=Path(warm) if warm else None,
            )
        except (OSError, ValueError, KeyError, TypeError) as e:
            raise ValueError(
                f"{folder}: no sweep's folder, or its sweep.json is torn ({e}); sweeps lie in "
                "<runs>/sweeps/, and the command that began one writes the file again"
            ) from e

    def save(self) -> None:
        """Write ``sweep.json`` and ``base.yaml`` into the folder, which is made."""
        self.folder.mkdir(parents=True, exist_ok=True)
        known: dict[str, Any] = {
            "recipe": self.recipe,
            "changes": list(self.changes),
            "space": self.space,
            "sampler": self.sampler,
            "pruner": self.pruner,
            "objectives": list(self.objectives),
            "concurrent": self.concurrent,
            "keep": self.keep,
            "warm": str(self.warm) if self.warm else None,
        }
        write_atomic(self.folder / "base.yaml", self.base.to_yaml())
        write_atomic(self.folder / "sweep.json", json.dumps(known, indent=1) + "\n")

    @property
    def directions(self) -> list[StudyDirection]:
        """Of each objective."""
        return [StudyDirection[name.upper()] for name in directions(self.objectives)]

    @property
    def fixed(self) -> set[str]:
        """The settings that the user gave."""
        return {c.partition("=")[0] for c in self.changes}

    def suggest(self, trial: BaseTrial) -> list[str]:
        """The overrides that this trial tries, besides the user's."""
        return as_overrides(space_of(self.space)(trial, self.base, self.fixed))

    def config(self, drawn: Sequence[str]) -> Config:
        """The run of a trial: in the sweep's folder, in one W&B group unless the user named one.

        It is one W&B run, which `tuning.tracked` writes if it is an offline one.

        Raises:
            ValueError: what was drawn does not go together.
        """
        group = self.base.track.group or self.folder.name
        own = [f"paths.runs={self.folder}", f"track.group={json.dumps(group)}"]
        own += ["track.wandb=disabled"] * (self.base.track.wandb == "offline")
        return override(self.base, [*drawn, *OF_A_TRIAL, *own])
