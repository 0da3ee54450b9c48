"""A run's faces explained from its folder alone: the packed study, the weights, the predictions."""

import json
import shutil

import numpy as np
import pytest

from data_sharding.faces.regions import REGIONS as THEIRS
from data_sharding.reader import ShardDataset
from eval.faces.explain import NO_CONSENT, NOT_ASKED, explain
from eval.faces.region_shap import REGIONS
from eval.faces.seen import Seen
from eval.faces.shapes import Settings
from tests.eval.faces.face_run import SIGNAL

FEW = Settings(each=2, people=2, networks=1, checked=2, permutations=9, draws=9, pixels=False)


def test_the_players_are_the_regions_of_the_packed_faces():
    assert REGIONS == THEIRS


def test_the_painted_region_is_first(told):
    faces = told.faces
    assert faces.accuracy > 0.9
    assert faces.additivity.regions < 1e-5
    for x in faces.leading:
        shares = {r.region: r.share.value for r in x.regions}
        assert shares[SIGNAL] >= 0.9
    assert faces.sanity.same.value < 0.5
    assert faces.classes == ("normal", "low bone mass", "osteoporosis")
    assert faces.cohort == "clinic-test"


def test_who_is_drawn(told, run):
    seen = told.seen
    assert seen.rows["truth"].value_counts().max() <= 12
    assert seen.rows["patient"].is_unique  # there are enough people, and each is asked once
    data = ShardDataset(run.parent / "pack")
    splits = dict(zip(data.index["patient"], data.index["split"], strict=True))
    assert {splits[p] for p in seen.rows["patient"]} == {"test"}
    others = [pack.index["patient"].iloc[row] for pack, row in seen.others]
    assert len(set(others)) == 2
    assert {splits[p] for p in others} == {"tune"}


def test_second_pictures_come_when_people_run_out(run):
    seen = Seen.of(run, None, "clinic-test", Settings(each=1000))
    assert len(seen) > seen.rows["patient"].nunique()
    assert len(seen) == len(ShardDataset(run.parent / "pack", "test"))


def test_the_picture_the_regions_and_the_answers_are_those_of_the_run(told, run):
    seen, v = told.seen, told.values
    data = ShardDataset(run.parent / "pack", "test")
    row = {key: i for i, key in enumerate(data.index["key"])}
    p = seen.eyes.run.predictions("clinic-test").set_index("key")
    for i in (0, 7, 20):
        key = seen.rows["key"][i]
        assert (seen.picture(i) == data.image(row[key])).all()
        assert (seen.landmarks(i) == data.extra(row[key], "landmarks")).all()
        assert ((seen.regions(i) > 0) == (seen.picture(i).max(2) > 0)).mean() > 0.98
        said = p.loc[key, ["p_normal", "p_low_bone_mass", "p_osteoporosis"]].to_numpy(float)
        np.testing.assert_allclose(1 / (1 + np.exp(-v.full[i])), said, atol=1e-5)
        assert v.answer[i] == said.argmax()


def test_the_same_files_give_the_same_answer(run):
    assert explain(run, settings=FEW).faces == explain(run, settings=FEW).faces


def test_faces_may_be_shown_only_if_asked_and_allowed(told, run, tmp_path):
    assert told.show
    assert told.faces.not_shown is None
    shutil.copytree(run.parent, tmp_path / "closed")
    closed = tmp_path / "closed" / "run"
    pack = tmp_path / "closed" / "pack" / "manifest.json"
    manifest = json.loads(pack.read_text())
    facts = json.loads((closed / "run.json").read_text())
    facts["manifests"]["clinic"]["path"] = str(pack.parent)
    (closed / "run.json").write_text(json.dumps(facts))
    for said in (None, False, "yes", 1):
        manifest["settings"].pop("show_faces", None)
        manifest["settings"] |= {} if said is None else {"show_faces": said}
        pack.write_text(json.dumps(manifest))
        seen = Seen.of(closed, None, None, FEW)
        assert not seen.may_show
    found = explain(closed, settings=FEW, show_faces=True)
    assert not found.show
    assert found.faces.not_shown == NO_CONSENT
    assert explain(run, settings=FEW).faces.not_shown == NOT_ASKED


def test_what_cannot_be_explained_is_refused(run, tmp_path):
    with pytest.raises(ValueError, match="no such cohort; there are clinic-test, clinic-tune"):
        explain(run, cohort="nowhere")
    with pytest.raises(ValueError, match="no weights there"):
        explain(run, model="student")
    shutil.copytree(run, tmp_path / "run")
    facts = json.loads((run / "run.json").read_text())
    (tmp_path / "run" / "run.json").write_text(json.dumps(facts | {"manifests": {}}))
    with pytest.raises(ValueError, match="no readable packed dataset"):
        explain(tmp_path / "run")
    with pytest.raises(ValueError, match="no such run folder"):
        explain(tmp_path / "none")


def test_pixels_are_told(told):
    assert told.faces.no_pixels is None
    assert told.values.pixels.maps.shape == (len(told.seen), *told.values.size)
    assert told.faces.additivity.pixels > 0
