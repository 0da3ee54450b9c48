from __future__ import annotations

import re

import pytest

from data_sharding.schema import Manifest
from tests.conftest import pack_pictures
from training.launch import prepare


def repack(folder, **changes):
    """The same dataset with another manifest."""
    Manifest.load(folder).model_copy(update=changes).save(folder)
    return folder


def test_what_is_missing_or_in_the_wrong_role_is_refused(tiny, packs):
    with pytest.raises(ValueError, match="packed as public"):
        prepare(tiny(f"paths.internal={packs['public']}"))
    with pytest.raises(ValueError, match="no manifest here"):
        prepare(tiny("paths.internal=/nowhere"))


def test_a_split_that_is_missing_is_found_before_anything_is_trained(tiny, tmp_path):
    folder = pack_pictures(tmp_path / "p", "p", "internal", {"train": 8, "tune": 4}, seed=9)
    with pytest.raises(ValueError, match="no samples in test"):
        prepare(tiny(f"paths.internal={folder}"))


def test_datasets_that_do_not_fit_together_are_refused(tiny, tmp_path):
    small = pack_pictures(tmp_path / "s", "s", "external", {"external": 4}, size=32, seed=8)
    with pytest.raises(ValueError, match="image_shape"):
        prepare(tiny(f"paths.external=[{small}]"))
    other = pack_pictures(tmp_path / "o", "o", "external", {"external": 4}, seed=8)
    with pytest.raises(ValueError, match="label policy"):
        prepare(tiny(f"paths.external=[{repack(other, policy='osteoporosis/1')}]"))
    again = repack(other, policy="ospenscreen/1", settings={"pixels": "other/9"})
    with pytest.raises(ValueError, match="pixels"):
        prepare(tiny(f"paths.external=[{again}]"))


def test_labels_of_other_classes_and_photographs_are_refused(tiny, tmp_path):
    made = pack_pictures(tmp_path / "i", "i", "internal", {"train": 8, "tune": 4, "test": 4})
    repack(made, classes=("not osteoporosis", "osteoporosis"), policy="li2026/1")
    with pytest.raises(ValueError, match="labelled not osteoporosis / osteoporosis by li2026/1"):
        prepare(tiny(f"paths.internal={made}"))
    repack(made, image_shape=(48, 48, 3))
    with pytest.raises(ValueError, match=r"photographs, and model\.channels=1"):
        prepare(tiny(f"paths.internal={made}"))


def test_a_picture_that_is_learnt_from_and_judged_on_is_a_leak(tiny, tmp_path):
    # the same seed draws the same pictures: the first of `here/train`
    copied = pack_pictures(tmp_path / "c", "c", "external", {"external": 6}, seed=0)
    with pytest.raises(ValueError, match="6 leaks: 6 identical pictures") as caught:
        prepare(tiny(f"paths.external=[{copied}]"))
    pairs = re.findall(r"(\S+/\S+/\w+) = (\S+/\S+/\w+): identical", str(caught.value))
    assert {a.rsplit("/", 1)[0] for pair in pairs for a in pair} == {"here/train", "c/external"}
    public = pack_pictures(tmp_path / "q", "q", "public", {"public": 5}, seed=1)
    either = r"q/public/.* = there/external/|there/external/.* = q/public/"
    with pytest.raises(ValueError, match=either):
        prepare(tiny(f"paths.public={public}"))
    # whoever allowed them when packing is let through; the report shows them
    repack(copied, leaks=tuple(f"{a} = {b}: identical ()" for a, b in pairs))
    prepare(tiny(f"paths.external=[{copied}]"))
    repack(copied, leaks=(f"{pairs[0][1]} = {pairs[0][0]}: identical ()",))
    with pytest.raises(ValueError, match="5 leaks"):
        prepare(tiny(f"paths.external=[{copied}]"))


def test_a_dataset_named_twice_is_refused(tiny, packs):
    with pytest.raises(ValueError, match=r"open: named twice in paths; leave out one"):
        prepare(tiny(f"paths.unlabelled=[{packs['public']}]"))


def test_proxies_of_whom_a_fold_is_judged_on_are_refused(tiny, tmp_path):
    # the same seed draws the same pictures: the first of `here/train`
    copied = pack_pictures(tmp_path / "c", "c", "public", {"public": 6}, seed=0)
    here = f"paths.public={copied}"
    prepare(tiny(here))
    with pytest.raises(ValueError, match=r"6 pictures, such as .* are of patients of the train"):
        prepare(tiny(here, "data.folds=3"))
    prepare(tiny("data.folds=3", "paths.public=null", f"paths.unlabelled=[{copied}]"))


def test_a_name_that_would_leave_the_folder_is_no_name(packs):
    manifest = Manifest.load(packs["internal"]).model_dump()
    with pytest.raises(ValueError, match="name"):
        Manifest.model_validate(manifest | {"name": "../../escaped"})
