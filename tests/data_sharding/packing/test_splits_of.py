"""A second dataset of the same people keeps the split of the first."""

from __future__ import annotations

import pytest

from data_sharding.pack import pack
from data_sharding.reader import ShardDataset
from data_sharding.schema import Manifest
from tests.data_sharding.face_study import jpeg, portrait


def test_who_has_a_radiograph_too_keeps_the_split(site, packed, key_file, tmp_path):
    """For late fusion, and so that a teacher of radiographs has seen nobody the student is
    judged on."""
    faces = tmp_path / "faces"
    for n in range(5):  # patients of the site, and one who is not
        path = faces / "photos" / (f"HOSP-{7 * n + 1:04d}" if n else "new") / "a.jpg"
        path.parent.mkdir(parents=True)
        path.write_bytes(jpeg(portrait(n)))
    people = sorted(p.name for p in (faces / "photos").iterdir())
    rows = [f"{who},2024-04-01,-1.5,0,0" for who in people]
    head = "patient_id,exam_date,lumbar_spine_t,femoral_neck_t,total_hip_t"
    (faces / "dxa.csv").write_text("\n".join([head, *rows]) + "\n")
    rows = [f"{who},F,1960-01-01,post" for who in people]
    head = "patient_id,sex,birth_date,menopausal"
    (faces / "clinical.csv").write_text("\n".join([head, *rows]) + "\n")
    said: list[str] = []
    quiet = {"workers": 1, "key_file": key_file, "echo": said.append, "size": 64}
    out = tmp_path / "out"
    manifest = pack(faces, out, name="asan", splits_of=packed, **quiet)
    assert any("4 of 5 patients keep the split" in line for line in said)
    before = ShardDataset(packed).index.set_index("patient")["split"]
    now = ShardDataset(out).index.set_index("patient")["split"]
    both = now.index.intersection(before.index)
    assert len(both) == 4
    assert (now[both] == before[both]).all()
    assert len(set(before[both])) > 1, "they are in several splits"
    assert manifest.settings["splits_of"] == Manifest.load(packed).hash
    with pytest.raises(ValueError, match="other pseudonyms"):
        pack(faces, tmp_path / "b", name="elsewhere", splits_of=packed, **quiet)
    with pytest.raises(ValueError, match="other pseudonyms"):
        pack(faces, tmp_path / "c", name="asan", splits_of=packed, **quiet | {"key_file": None})
    with pytest.raises(ValueError, match="the role is external"):
        pack(faces, tmp_path / "d", name="asan", role="external", splits_of=packed, **quiet)
