"""The configuration of a run: frozen, typed, and refused when a key is misspelt.

A recipe (`training.recipes`) returns a `Config`; the command line changes single values:

    python -m training ospenscreen:smoke student.temperature=2 compute.workers=1

The resolved configuration is written as ``config.yaml`` beside the weights, and its hash with those
of the manifests is the run's identity. What only says *where* it runs (`compute`, `track`, `paths`)
is left out of the hash, so that a run may resume on other machines; so is `predict`, so that what
was left unpredicted may be predicted later.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BeforeValidator,
    Field,
    PositiveFloat,
    ValidationError,
    field_validator,
    model_validator,
)

from data_sharding.schema import canonical_json, sha256_file
from training.compute import Compute, Track
from training.exclusions import refuse, refuse_beside
from training.face import FACE2BONE, Face
from training.grid import GRID, Grid
from training.section import Section
from training.stage import CrossModal, Fracture, Pseudo, Stage, Student
from training.target import TARGETS, Target


def home() -> Path:
    """Where shards are read and runs are written: ``$OSTEORAY_HOME``, else ``./demo``."""
    return Path(os.environ.get("OSTEORAY_HOME", "demo")).absolute()


def _place(value: Any) -> Any:
    return Path(value) if isinstance(value, str) and "://" not in value else value


#: A packed dataset: a folder, or a URL that fsspec knows (a Path would lose one of its slashes).
Place = Annotated[Path | str, BeforeValidator(_place)]


class Paths(Section):
    """Packed datasets (folders or URLs with a manifest.json) and the folder for runs."""

    internal: Place = Field(default_factory=lambda: home() / "shards" / "asan")
    public: Place | None = Field(default_factory=lambda: home() / "shards" / "public")
    external: tuple[Place, ...] = Field(default_factory=lambda: (home() / "shards" / "north",))
    unlabelled: tuple[Place, ...] = Field(
        default=(), description="packs without DXA that are predicted, and nothing else"
    )
    runs: Path = Field(default_factory=lambda: home() / "runs")

    @model_validator(mode="after")
    def _absolute(self) -> Paths:
        # Ray workers have another working directory.
        def absolute(place: Path | str | None) -> Path | str | None:
            return place.absolute() if isinstance(place, Path) else place

        for name in ("internal", "public", "runs"):
            object.__setattr__(self, name, absolute(getattr(self, name)))
        for name in ("external", "unlabelled"):
            object.__setattr__(self, name, tuple(absolute(p) for p in getattr(self, name)))
        return self


class Model(Section):
    """A timm backbone with a logit for each class, or a network of our own (grid, face)."""

    name: str
    pretrained: str = Field(
        description="'none' (from scratch, said aloud), 'tag' (timm downloads), or a .safetensors"
    )
    sha256: str | None = Field(
        default=None, description="of the weights file; required with a path"
    )
    drop_path: float = Field(default=0.0, ge=0, lt=1)
    channels: Literal[1, 3] = Field(default=1, description="3 for photographs")
    classes: int = Field(default=2, ge=2, le=3, description="logits; follows `target`")
    ordinal: bool = Field(
        default=False, description="three classes as two cuts on one scale (cumulative link)"
    )
    grid: Grid | None = Field(
        default=None, description=f"sizes of {GRID}; of no other model (default: the paper's)"
    )
    face: Face | None = Field(
        default=None, description=f"sizes of {FACE2BONE}; of no other model (default: the paper's)"
    )

    @model_validator(mode="after")
    def _sizes(self) -> Model:
        for section, owner, usual in (("grid", GRID, Grid), ("face", FACE2BONE, Face)):
            if getattr(self, section) and self.name != owner:
                raise ValueError(
                    f"model.{section} has the sizes of {owner}, and this is {self.name}: set "
                    f"model.{section}=null"
                )
            if self.name == owner and not getattr(self, section):
                object.__setattr__(self, section, usual())
        if self.face and (self.pretrained, self.channels) != ("none", 3):
            raise ValueError(
                f"{FACE2BONE} takes colour and has no published weights: set model.channels=3 and "
                "model.pretrained=none (FaceNet's are model.face.facenet)"
            )
        return self

    @field_validator("pretrained")
    @classmethod
    def _absolute(cls, value: str) -> str:
        # Ray workers have another working directory.
        return value if value in ("none", "tag") else str(Path(value).absolute())


class Input(Section):
    """What the model is fed: pictures resized to `size` and normalised."""

    size: int = Field(ge=32)
    mean: float | tuple[float, float, float] = Field(
        default=0.449, description="mean of ImageNet's three channel means; of colour, all three"
    )
    std: PositiveFloat | tuple[PositiveFloat, PositiveFloat, PositiveFloat] = 0.226
    per_image: bool = Field(
        default=False,
        description="each picture by its own percentiles, mean and deviation (Li et al. 2026)",
    )


def weights_sha256(folder: Path) -> str:
    """The hash of a weights folder's model.safetensors, as it was when it was written.

    Raises:
        ValueError: no such folder, or no weights' folder.
    """
    try:
        return str(json.loads((folder / "config.json").read_text())["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise ValueError(f"{folder}: not a weights folder (run/student/weights is one): {e}") from e


def predictions_of(run: Path) -> list[Path]:
    """What a cross-validated run says of its own site's patients, by cohort.

    Raises:
        ValueError: it has no predictions of those that it learnt from: it is not cross-validated.
    """
    train = sorted(run.glob("cohorts/*-train/predictions.parquet"))
    if len(train) != 1:
        raise ValueError(
            f"crossmodal.run={run}: no out-of-fold predictions; it must be the run of all folds "
            "(python -m training RECIPE --folds 5)"
        )
    stem = train[0].parent.name.removesuffix("-train")
    every = [train[0].parent.with_name(f"{stem}-{s}") / train[0].name for s in ("tune", "test")]
    return train + [path for path in every if path.is_file()]


#: Shards shuffled together where they are fetched over a network and nothing else is asked for.
REMOTE_SPREAD = 16


class Data(Section):
    """The order in which samples are served; part of what decides the result."""

    stratify: bool = Field(
        default=True, description="each batch holds the labelled classes in their proportion"
    )
    spread: int | None = Field(
        default=None,
        ge=0,
        description="shards shuffled together; 0 is all; by default 0, or 16 from object stores",
    )
    augment_on: Literal["cpu", "device"] = Field(
        default="cpu", description="device: in batch, where the model is; rounds otherwise"
    )
    folds: int = Field(
        default=1, ge=1, description="cross-validation: parts of the train split, by patient"
    )
    fold: int = Field(default=0, ge=0, description="the part that is not learnt from")
    shards: int | None = Field(
        default=None, ge=1, description="learn from so many of the train split's, the first ones"
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> Data:
        if self.fold >= self.folds:
            raise ValueError(
                f"data.fold={self.fold}: there are {self.folds}, the first is 0 "
                "(--folds 5 goes through all of them)"
            )
        return self


#: What has no say in the result.
ELSEWHERE = ("predict", "paths", "compute", "track")
#: Sections of a run in which a teacher teaches a student.
PIPELINE = ("teacher", "pseudo", "student")


class Config(Section):
    """A whole run."""

    recipe: str
    seed: int = Field(default=0, ge=0, lt=2**31)
    precision: Literal["float32", "bf16"] = Field(
        default="float32", description="bf16: autocast; weights and losses stay float32"
    )
    model: Model
    input: Input
    target: Literal["low bone mass", "osteoporosis", "three classes"] = Field(
        default="low bone mass", description="what is learnt of a pack's labels"
    )
    teacher: Stage = Stage(epochs=100, batch=64, lr=1e-4)
    pseudo: Pseudo = Pseudo()
    student: Student = Student(epochs=100, batch=64, lr=1e-4)
    image: Stage | None = Field(
        default=None, description="one model is learnt from labels, and nobody teaches"
    )
    crossmodal: CrossModal = CrossModal()
    fracture: Fracture | None = Field(
        default=None, description="a survival model is learnt, and nothing else"
    )
    data: Data = Data()
    operating_point: Literal["youden", "half"] = "youden"
    predict: Literal["all", "tune"] = Field(
        default="all", description="tune: test split and other sites stay unopened (a sweep's runs)"
    )
    paths: Paths = Field(default_factory=Paths)
    compute: Compute = Compute()
    track: Track = Track()

    @model_validator(mode="after")
    def _fits(self) -> Config:
        learnt = self.model.model_copy(update={"classes": len(self.aim.classes)})
        object.__setattr__(self, "model", learnt)
        refuse(self)
        if self.alone:
            given = PIPELINE + ("target", "operating_point") * (self.alone == "fracture")
            unlike = {name: type(self).model_fields[name].default for name in given}
            refuse_beside(self, [n for n, v in unlike.items() if getattr(self, n) != v])
        return self

    @property
    def aim(self) -> Target:
        """What labels mean here."""
        return TARGETS[self.target]

    @property
    def alone(self) -> str | None:
        """The one model of the run, if nobody teaches: a section's name, and a folder's."""
        return "fracture" if self.fracture else "image" if self.image else None

    @property
    def models(self) -> tuple[str, ...]:
        """What is trained, by the names of folders; the last one is what the run is for."""
        return (self.alone,) if self.alone else ("teacher", "student")

    @property
    def with_proxies(self) -> bool:
        """Does a student learn from pseudo-labelled pictures?"""
        return self.pseudo.enabled and self.paths.public is not None

    @property
    def trainings(self) -> dict[str, Stage]:
        """The trainings of a run, in their order, by the names of their folders."""
        if self.alone:
            return {self.alone: getattr(self, self.alone)}
        rounds = self.pseudo.rounds if self.with_proxies else 1
        students = [f"round-{n}/student" for n in range(1, rounds)] + ["student"]
        return {"teacher": self.teacher} | dict.fromkeys(students, self.student)

    @property
    def unused(self) -> set[str]:
        """Sections that have no say in this run."""
        unused = {"fracture", "image"} - {self.alone}
        if not self.crossmodal.run:
            unused.add("crossmodal")
        if self.alone:
            unused |= set(PIPELINE)
        if self.alone == "fracture":
            unused |= {"target", "operating_point"}
        return {name for name in unused if name}

    @property
    def spread(self) -> int:
        """Shards shuffled together, 0 for all: as set, or as the places of the data ask for."""
        if self.data.spread is not None:
            return self.data.spread
        read = (self.paths.internal, self.paths.public)
        return REMOTE_SPREAD if any("://" in str(p) for p in read) else 0

    def decided(self) -> dict[str, Any]:
        """The settings that decide the result, and no others; see the module's docstring.

        A weights file counts by its hash, wherever it lies. The teachers of ``student.teachers``
        are left out: they count by their hashes, which may be gone where an old run is looked at.
        """
        unused = self.unused
        tree = self.model_dump(mode="json", exclude={*ELSEWHERE, *unused})
        tree["data"]["spread"] = self.spread
        if self.model.sha256:
            tree["model"].pop("pretrained")
        if self.model.face and self.model.face.facenet_sha256:
            tree["model"]["face"].pop("facenet")
        if "student" in tree:
            tree["student"].pop("teachers")
        return tree

    def identity(self, manifests: Mapping[str, str], predicted: Collection[str] = ()) -> str:
        """SHA-256 over what decides the result: settings, teachers and manifest hashes, by name.

        `predicted` are the datasets of ``paths.unlabelled``: the same one is learnt from where it
        is ``paths.public``.
        """
        tree = self.decided()
        if "student" in tree:
            tree["student"]["teachers"] = [weights_sha256(p) for p in self.student.teachers]
        if self.crossmodal.run:
            files = predictions_of(self.crossmodal.run)
            tree["crossmodal"]["run"] = [sha256_file(f) for f in files]
        what = {"config": tree, "manifests": dict(manifests)}
        what |= {"predicted": sorted(predicted)} if predicted else {}
        return hashlib.sha256(canonical_json(what).encode()).hexdigest()

    def to_yaml(self) -> str:
        """The resolved configuration, as ``config.yaml`` holds it."""
        tree = self.model_dump(mode="json", exclude=self.unused)
        return yaml.safe_dump(tree, sort_keys=False)

    @classmethod
    def from_yaml(cls, path: Path) -> Config:
        """Read a ``config.yaml``; ValueError names the file and what is wrong with it."""
        try:
            return cls.model_validate(yaml.safe_load(path.read_text()))
        except (OSError, yaml.YAMLError, ValidationError) as e:
            raise ValueError(f"{path}: not a run's config.yaml: {e}") from e
