"""What a run may be made of: the packed datasets, checked before anything is trained.

Roles, splits, labels, label policies and pixel treatments must fit together, and no picture that is
learnt from may be one that is tuned or tested on, within a dataset or across them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from data_sharding.leaks import find, lines, of_dataset
from data_sharding.packing.gate import is_allowed
from data_sharding.reader import ShardDataset, read_index
from data_sharding.schema import Manifest
from data_sharding.storage.store import open_place
from training.config import Config, Model
from training.crossmodal import check_crossmodal
from training.face import Face
from training.followup import check_followed
from training.samples import learnt_from
from training.target import Target


@dataclass(frozen=True)
class Pack:
    """One packed dataset of a run."""

    place: Path | str  # as the settings name it
    path: Path
    manifest: Manifest
    index: pd.DataFrame


def open_packs(config: Config) -> dict[str, Pack]:
    """Every dataset the run names, by its own name.

    Raises:
        ValueError: one is missing, of another role, unlike the others, lacks a split or a label, or
            a picture or patient is on both sides.
    """
    wanted = [("internal", config.paths.internal)]
    wanted += [("external", p) for p in config.paths.external]
    wanted += [("public", p) for p in config.paths.unlabelled]
    if config.pseudo.enabled and config.paths.public and not config.alone:
        wanted.append(("public", config.paths.public))
    packs: dict[str, Pack] = {}
    for role, place in wanted:
        if place in [pack.place for pack in packs.values()]:
            raise ValueError(f"{place}: named twice in paths; leave out one of them")
        path = open_place(place)[0]
        manifest = Manifest.load(path)
        if manifest.role != role:
            raise ValueError(f"{path}: packed as {manifest.role}, but named as {role} in paths")
        if manifest.name in packs:
            raise ValueError(f"{path}: a second dataset called {manifest.name}; pack with --name")
        packs[manifest.name] = Pack(place, path, manifest, read_index(path, manifest))
    for pack in packs.values():
        _check_content(pack, None if config.fracture else config.aim, config.model)
    if config.fracture:
        check_followed({n: p.index for n, p in packs.items()}, config.fracture)
    _check_alike(list(packs.values()), by_label=not config.fracture)
    _check_leaks(packs)
    if config.data.folds > 1:
        _check_held_out(packs, config)
    if config.data.shards:
        _check_shards(config)
    if config.crossmodal.run:
        check_crossmodal(config, {n: p.index for n, p in packs.items()})
    return packs


def same_as_before(run_folder: Path, data: ShardDataset) -> ShardDataset:
    """`data`, if it is what ``run.json`` in `run_folder` says that the run began with.

    Raises:
        ValueError: the dataset has been packed again since.
    """
    began = json.loads((run_folder / "run.json").read_text())["manifests"]
    if began.get(data.manifest.name, {}).get("hash") != data.manifest.hash:
        raise ValueError(
            f"{data.folder}: {data.manifest.name} has been packed again since this run began: put "
            "it back or start a new run"
        )
    return data


def _check_face(face: Face, pack: Pack) -> None:
    if face.facenet is None:
        raise ValueError(
            "Face2Bone looks at a face with FaceNet, whose weights are not fetched for you: give "
            "model.face.facenet=/path/to.safetensors model.face.facenet_sha256=..., or state that "
            "there is no face branch (model.face.facenet=none)"
        )
    if face.embedded and "crop" not in [e.name for e in pack.manifest.extras]:
        raise ValueError(
            f"{pack.path}: samples have no crop for FaceNet: pack the photographs again, or set "
            "model.face.facenet=none"
        )


def _check_content(pack: Pack, aim: Target | None, model: Model) -> None:
    there = set(pack.index["split"])
    wanted = {"train", "tune", "test"} if pack.manifest.role == "internal" else {pack.manifest.role}
    if missing := sorted(wanted - there):
        raise ValueError(
            f"{pack.path}: no samples in {', '.join(missing)}; more patients are needed"
        )
    colour = len(pack.manifest.image_shape) == 3
    if colour != (model.channels == 3):
        what, how = ("photographs", "face2bone") if colour else ("X-rays", "li2026")
        raise ValueError(
            f"{pack.path}: {what}, and model.channels={model.channels}: take a recipe for {what} "
            f"(such as {how})"
        )
    if model.face:
        _check_face(model.face, pack)
    if pack.manifest.role == "public" or not aim:
        return
    try:
        aim.check(pack.manifest)
    except ValueError as e:
        raise ValueError(f"{pack.path}: {e}") from e
    learnt = aim.labels(pack.manifest, pack.index)
    for split in sorted({"train", "tune"} & there):
        found = set(learnt.loc[pack.index["split"].eq(split)].dropna().unique())
        if missing := sorted(set(range(len(aim.classes))) - found):
            raise ValueError(
                f"{pack.path}: nobody in {split} has {aim.classes[missing[0]]}; more patients are "
                "needed"
            )
    if pack.index["label"].isna().to_numpy().any():
        raise ValueError(f"{pack.path}: samples without a label cannot be learnt from or judged on")


def _check_alike(packs: list[Pack], by_label: bool) -> None:
    first = packs[0]
    for pack in packs[1:]:
        ours, theirs = first.manifest, pack.manifest
        pairs = [
            ("pixels", ours.settings.get("pixels"), theirs.settings.get("pixels")),
            ("image_shape", ours.image_shape, theirs.image_shape),
        ]
        if theirs.role != "public" and by_label:
            pairs.append(("label policy", ours.policy, theirs.policy))
        for what, a, b in pairs:
            if a != b:
                raise ValueError(
                    f"{pack.path}: packed with {what} {b}, but {first.path} with {a}. "
                    "Pack both alike."
                )


def _check_leaks(packs: dict[str, Pack]) -> None:
    """Patients and exact pictures; resized, flipped... copies are looked for when packing."""
    allowed = [line for pack in packs.values() for line in pack.manifest.leaks]
    found = find([of_dataset(pack.path) for pack in packs.values()], near=False)
    left = [leak for leak in found if not is_allowed(leak, allowed)]
    if left:
        raise ValueError(
            "\n".join(lines(left))
            + "\nA model cannot be judged on what it learnt from: take them out of one side, pack "
            "with --against these datasets, or --allow-leaks to have them in the report."
        )


def _check_shards(config: Config) -> None:
    """Where a few of the train split's shards are learnt from, all classes are in them."""
    data = learnt_from(config, ShardDataset(config.paths.internal, "train"))
    column = "fracture" if config.fracture else "label"
    there = set(data.index[column].dropna().astype(int))
    wanted = ("no fracture", "a fracture") if config.fracture else config.aim.classes
    if missing := sorted(set(range(len(wanted))) - there):
        raise ValueError(
            f"data.shards={config.data.shards}: nobody in them has {wanted[missing[0]]}: take more"
        )


def _check_held_out(packs: dict[str, Pack], config: Config) -> None:
    """Every patient of the train split is judged by the fold that holds them out, so nobody's
    picture may come back with a proxy label.
    """
    train = next(p for p in packs.values() if p.manifest.role == "internal")
    judged = train.index.loc[train.index["split"].eq("train")]
    for pack in packs.values():
        if pack.manifest.role != "public" or pack.place in config.paths.unlabelled:
            continue
        same = pack.index["pixels_sha256"].isin(judged["pixels_sha256"]).to_numpy(bool)
        if train.manifest.key_id and pack.manifest.key_id == train.manifest.key_id:
            same = same | pack.index["patient"].isin(judged["patient"]).to_numpy(bool)
        if n := int(same.sum()):
            key = pack.index["key"].to_numpy(str)[same][0]
            raise ValueError(
                f"{pack.path}: {n} pictures, such as {key}, are of patients of the train split, "
                "whom folds are judged on: take them out, or set pseudo.enabled=false"
            )
