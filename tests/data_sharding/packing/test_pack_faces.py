"""A face study end to end: every file in a sample or in the ledger, and the same bytes always."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import webdataset
from PIL import Image

from data_sharding.faces.face import PIXELS, make_face
from data_sharding.pack import pack
from data_sharding.packing.pool import Shield
from data_sharding.pictures.photos import read_photo
from data_sharding.pictures.work import PHOTOS, Job, make
from data_sharding.reader import ShardDataset, verify
from data_sharding.rearrange import merge, split
from data_sharding.schema import Manifest, Sample
from tests.data_sharding.face_study import (
    CANARIES,
    CLASSES,
    OUT,
    items,
    jpeg,
    make_study,
    photographs,
    portrait,
)

REPOSITORY = Path(__file__).parents[3]
SIZE = 128
#: All in one split: people made of one portrait are not for judging whether they are strangers.
OPTIONS = {"size": SIZE, "role": "external", "name": "ningbo", "shard_samples": 5}
FACE_EXTRAS = [("crop", (160, 160, 3), "uint8"), ("landmarks", (468, 3), "float32")]


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study") / "ningbo"
    make_study(folder)
    return folder


@pytest.fixture(scope="module")
def faces(study, key_file, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("faces") / "ningbo"
    pack(study, out, workers=1, key_file=key_file, echo=lambda _: None, **OPTIONS)
    return out


@pytest.fixture(scope="module")
def rows(faces) -> pd.DataFrame:
    return items(faces)


def test_every_file_is_a_sample_or_in_the_ledger_with_its_reason(rows, faces):
    told = {f"photos/{name}": reason for name, (_, reason) in photographs().items()}
    files = rows.loc[rows["unit"].isin(["file", "image"])].set_index("is")["reason"]
    assert files.index.is_unique
    assert files.to_dict() == {name: reason for name, reason in told.items() if reason}
    assert len(ShardDataset(faces)) == sum(not reason for reason in told.values())


def test_the_flow_adds_up_line_by_line(rows, faces):
    flow = Manifest.load(faces).flow
    for box in flow:
        assert box.n_in == box.n_out + sum(box.excluded.values()), box.step
        mine = rows.loc[(rows["step"] == box.step) & (rows["unit"] == box.unit), "reason"]
        assert mine.value_counts().to_dict() == box.excluded, box.step
    steps = {box.step: box for box in flow}
    assert sum(len(box.excluded) > 0 for box in flow) >= 6
    n = len(photographs())
    assert steps["files to photographs"].n_in == n
    assert steps["photographs to samples"].n_in == steps["files to photographs"].n_out
    assert steps["photographs to samples"].n_out == len(ShardDataset(faces))
    patients = rows.loc[rows["unit"] == "patient"].set_index("is")["reason"].to_dict()
    assert patients == OUT
    assert steps["patients with a readable photograph"].n_out == len(CLASSES)


def test_evidence_stands_beside_each_refused_face(rows):
    said = rows.set_index("is")["evidence"]
    assert said["photos/F2/two.jpg"] == "2 of about the same size"
    assert "pixels high" in said["photos/F2/far away.jpg"]
    assert "days apart" in said["photos/F9/long ago.jpg"]
    assert said["F3"] == "2 tried"


def test_every_photograph_of_a_patient_is_a_sample_with_the_patient_s_label(faces):
    data = ShardDataset(faces)
    index = data.index
    assert sorted(index.groupby("patient").size()) == [1, 1, 1, 1, 1, 3]
    assert index.groupby("patient")["label"].nunique().eq(1).all()
    assert index["key"].is_unique
    assert sorted(index.drop_duplicates("patient")["label"]) == sorted(CLASSES.values())
    assert set(index["view"]) == {"FRONTAL"}


def test_samples_are_what_make_face_made(faces):
    """Found again by their pixels: no key says which file it was."""
    data = ShardDataset(faces)
    manifest = data.manifest
    assert [(e.name, e.shape, e.dtype) for e in manifest.extras] == FACE_EXTRAS
    assert manifest.image_shape == (SIZE, SIZE, 3)
    assert manifest.settings["pixels"] == PIXELS
    assert next(iter(PHOTOS)) == PIXELS, "it is the default"
    packed = {data.sample(i).pixels_sha256: i for i in range(len(data))}
    for name, (raw, reason) in photographs().items():
        if reason:
            continue
        photo = read_photo(raw)
        face = make_face(photo.pixels, SIZE)
        made = [i for i in packed.values() if np.array_equal(data.image(i), face.picture)]
        assert len(made) == 1, name
        assert np.array_equal(data.extra(made[0], "crop"), face.crop)
        assert np.array_equal(data.extra(made[0], "landmarks"), face.landmarks)
        sample = data.sample(made[0])
        assert sample.applied == (*photo.applied, *face.applied)
        assert sample.pose is not None
        assert np.abs(np.subtract(sample.pose, face.pose)).max() <= 0.05 + 1e-6
        corner = data.image(made[0])[:8, :8]
        assert not corner.any(), "black outside of the ellipse"


def test_a_photograph_s_orientation_is_honoured(faces):
    """The same pixels stored turned give a picture almost the same: JPEG blocks lie elsewhere."""
    data = ShardDataset(faces)
    turned = [i for i in range(len(data)) if any("EXIF" in s for s in data.sample(i).applied)]
    assert len(turned) == 2
    for i in turned:
        assert abs(data.sample(i).pose[2]) < 15  # roll  # type: ignore[index]
    upright = make_face(portrait(0, "b"), SIZE).picture.astype(int)
    off = [np.abs(data.image(i).astype(int) - upright).mean() for i in turned]
    assert min(off) < 3


def test_the_webdataset_library_reads_the_tars(faces):
    data = ShardDataset(faces)
    urls = [str(faces / s.path) for s in data.manifest.shards]
    assert len(urls) > 1
    found = list(webdataset.WebDataset(urls, shardshuffle=False).decode())
    assert len(found) == len(data)
    for i, sample in enumerate(found):
        assert np.array_equal(sample["npy"], data.image(i))
        assert np.array_equal(sample["crop.npy"], data.extra(i, "crop"))
        assert np.array_equal(sample["landmarks.npy"], data.extra(i, "landmarks"))
        assert Sample.model_validate(sample["json"]).pose == data.sample(i).pose
    assert verify(faces) == []


def test_nothing_of_a_person_is_left(faces):
    for name, data in contents(faces).items():
        for canary in (*CANARIES, "F1/", "photos/", "Exif", "turned by the camera", "ICC_PROFILE"):
            assert canary.encode() not in data, (name, canary)


def test_two_workers_come_to_the_same_bytes(study, faces, key_file, tmp_path):
    out = tmp_path / "ningbo"
    pack(study, out, workers=2, key_file=key_file, echo=lambda _: None, **OPTIONS)
    assert contents(out) == contents(faces)


@pytest.mark.ray
def test_so_do_ray_s(study, faces, key_file, tmp_path):
    out = tmp_path / "ningbo"
    pack(study, out, on_ray=True, key_file=key_file, echo=lambda _: None, **OPTIONS)
    assert contents(out) == contents(faces)


def test_killed_and_begun_again_it_comes_to_the_same_bytes(study, faces, key_file, tmp_path):
    """SIGKILL to the whole group when the first shard is sealed and the second is not."""
    out = tmp_path / "ningbo"
    command = [sys.executable, "-m", "data_sharding", "pack", study, out, "--workers", "1"]
    command += ["--size", str(SIZE), "--role", "external", "--name", "ningbo"]
    command += ["--shard-samples", "5", "--key-file", key_file]
    run = subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    until = time.monotonic() + 120
    while not (out / "external-00000.tar").exists() and run.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.001)
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    assert run.returncode == -signal.SIGKILL, "it was not killed at work"
    said: list[str] = []
    pack(study, out, workers=1, key_file=key_file, echo=said.append, **OPTIONS)
    assert any(line.startswith("going on") for line in said)
    assert contents(out) == contents(faces)


def test_a_shielded_child_makes_the_same_face_again_and_again(tmp_path):
    """What a pack falls back to when a photograph took a worker down."""
    good = tmp_path / "a.jpg"
    good.write_bytes(jpeg(portrait()))
    job = Job("photo", str(good), SIZE, pixels="face/1")
    with Shield(make, None, deadline_s=120) as safely:
        assert isinstance(safely(Job("photo", str(tmp_path), SIZE, pixels="face/1")), ValueError)
        first = safely(job)
        second = safely(job)
    here = make(job)
    for made in (first, second):
        assert np.array_equal(made.pixels, here.pixels)  # type: ignore[union-attr]
        assert made.pose == here.pose  # type: ignore[union-attr]
        assert all(np.array_equal(made.extras[k], here.extras[k]) for k in here.extras)  # type: ignore[union-attr]


def test_whole_photographs_are_kept_as_before_if_asked(study, key_file, tmp_path):
    out = tmp_path / "whole"
    manifest = pack(
        study, out, workers=1, key_file=key_file, pixels="photo/1", echo=lambda _: None, **OPTIONS
    )
    assert manifest.extras == ()
    data = ShardDataset(out)
    # a face that cannot be found is no reason there
    assert len(data) > sum(not reason for _, reason in photographs().values())
    assert all(data.sample(i).pose is None for i in range(len(data)))
    names = {m.split(".", 1)[1] for m in tar_names(out)}
    assert names == {"npy", "json"}


def tar_names(folder: Path) -> list[str]:
    import tarfile

    names = []
    for shard in Manifest.load(folder).shards:
        with tarfile.open(folder / shard.path) as tar:
            names += tar.getnames()
    return names


@pytest.mark.parametrize(
    ("consent", "shown"),
    [("", False), ('{"show_faces": false}', False), ('{"show_faces": true}', True)],
    ids=["silent", "no", "yes"],
)
def test_consent_goes_into_the_manifest(tmp_path, key_file, consent, shown):
    site = small(tmp_path / "site", {"F1": 1}, consent)
    out = tmp_path / "out"
    quiet = {"workers": 1, "key_file": key_file, "echo": lambda _: None}
    manifest = pack(site, out, size=64, role="external", **quiet)
    assert manifest.settings["show_faces"] is shown
    (site / "consent.json").write_text('{"show_faces": "yes"}')
    with pytest.raises(ValueError, match="neither true nor false"):
        pack(site, tmp_path / "other", size=64, role="external", **quiet)


def test_consent_of_several_is_that_of_all(tmp_path, key_file):
    quiet = {"workers": 1, "key_file": key_file, "echo": lambda _: None}
    for name, consent in (("a", "true"), ("b", "true"), ("c", "false")):
        site = small(tmp_path / f"site {name}", {"F1": ord(name)}, f'{{"show_faces": {consent}}}')
        pack(site, tmp_path / name, name=name, size=64, **quiet)
    both = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "ab", "ab", echo=quiet["echo"])
    assert both.settings["show_faces"] is True
    some = merge([tmp_path / "a", tmp_path / "c"], tmp_path / "ac", "ac", echo=quiet["echo"])
    assert some.settings["show_faces"] is False
    again = split(tmp_path / "ab", tmp_path / "again", "train=0.5,test=0.5", 0, lambda _: None)
    assert again.settings["show_faces"] is True
    assert [e.name for e in again.extras] == ["crop", "landmarks"]


def small(folder: Path, people: dict[str, int], consent: str = "") -> Path:
    """A study of one photograph each, by the seed of the portrait."""
    for who, seed in people.items():
        path = folder / "photos" / who / "a.jpg"
        path.parent.mkdir(parents=True)
        path.write_bytes(jpeg(portrait(seed)))
    head = "patient_id,exam_date,lumbar_spine_t,femoral_neck_t,total_hip_t"
    dxa = [f"{who},2024-04-01,-1.5,0,0" for who in people]
    (folder / "dxa.csv").write_text("\n".join([head, *dxa]) + "\n")
    clinical = [f"{who},F,1960-01-01,post" for who in people]
    head = "patient_id,sex,birth_date,menopausal"
    (folder / "clinical.csv").write_text("\n".join([head, *clinical]) + "\n")
    if consent:
        (folder / "consent.json").write_text(consent)
    return folder


def test_packing_radiographs_does_not_load_mediapipe(site, tmp_path):
    script = (
        "import sys; from pathlib import Path; from data_sharding.pack import pack\n"
        "pack(Path(sys.argv[1]), Path(sys.argv[2]), size=32, workers=1, screen=False,"
        " echo=lambda _: None)\n"
        "assert 'mediapipe' not in sys.modules; print('done')"
    )
    command = [sys.executable, "-c", script, str(site), str(tmp_path / "out")]
    run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert run.stdout == "done\n"
    for path in (tmp_path / "out").glob("*.tar"):
        assert b'"pose"' not in path.read_bytes()
    assert "extras" not in json.loads((tmp_path / "out" / "manifest.json").read_text())


def test_a_jpeg_with_another_picture_behind_it_is_the_first(tmp_path):
    """Phones put a depth map or a preview behind the photograph (MPO)."""
    out = io.BytesIO()
    first, second = (Image.fromarray(portrait(s)) for s in (1, 2))
    first.save(out, "MPO", save_all=True, append_images=[second], quality=95)
    path = tmp_path / "a.jpg"
    path.write_bytes(out.getvalue())
    made = make(Job("photo", str(path), SIZE, pixels="face/1"))
    alone = make_face(read_photo(out.getvalue()).pixels, SIZE)
    assert np.array_equal(made.pixels, alone.picture)  # type: ignore[union-attr]
