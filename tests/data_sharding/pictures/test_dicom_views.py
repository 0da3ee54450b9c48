"""Which view a header states: as it is written, as a code, in the body part, twice, not at all."""

from __future__ import annotations

import warnings

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from data_sharding.ledger import Refused
from data_sharding.pictures.dicom import read_facts, read_pixels
from tests.data_sharding.pictures.test_dicom import RAMP, reason_of


@pytest.mark.parametrize(
    ("stated", "view"),
    [("PA", "PA"), ("pa ", "PA"), ("PA ERECT", "PA"), ("POSTERO-ANTERIOR", "PA"), ("AP", "AP")],
)
def test_views_as_they_are_written(dicom, tmp_path, stated, view):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert read_facts(dicom(tmp_path / "a", RAMP, ViewPosition=stated)).view == view
        for side in ("LATERAL", "LEFT LATERAL", "RL", "LAO"):
            lateral = dicom(tmp_path / "b", RAMP, ViewPosition=side)
            assert reason_of(lateral, read_facts) == "lateral_view"


def test_the_view_can_be_a_code_or_assumed(dicom, tmp_path):
    code = Dataset()
    code.CodeMeaning = "postero-anterior"
    path = dicom(tmp_path / "a", RAMP, ViewPosition=None, ViewCodeSequence=Sequence([code]))
    assert read_facts(path).view == "PA"
    missing = dicom(tmp_path / "b", RAMP, ViewPosition=None)
    assert reason_of(missing, read_facts) == "view_missing"
    picture = read_pixels(missing, assume_view="PA")
    assert picture.facts.view == "PA"
    assert "view assumed PA" in picture.applied


TWO = "the header names two views"
LATERAL = "a lateral or oblique view"


def coded(meaning: str) -> Sequence:
    code = Dataset()
    code.CodeMeaning = meaning
    return Sequence([code])


@pytest.mark.parametrize(
    ("tags", "view"),
    [
        ({"BodyPartExamined": "CHEST LATERAL"}, LATERAL),
        ({"BodyPartExamined": "CHEST_LAT"}, LATERAL),
        ({"BodyPartExamined": ["CHEST", "CHEST LAT"]}, LATERAL),
        ({"BodyPartExamined": "CHEST AP"}, "AP"),
        ({"BodyPartExamined": "CHESTAP"}, "AP"),
        ({"BodyPartExamined": "CHEST_PA"}, "PA"),
        ({"ViewPosition": "PA OBLIQUE"}, LATERAL),
        ({"ViewPosition": "P.A."}, "PA"),
        ({"ViewPosition": "AP/PA"}, TWO),
        ({"ViewPosition": ["PA", "LATERAL"]}, TWO),
        ({"ViewPosition": ["PA", "PA"]}, "PA"),
        ({"ViewPosition": "PA LAT"}, TWO),
        ({"ViewPosition": "PA", "BodyPartExamined": "CHEST LAT"}, TWO),
        ({"ViewPosition": "PA", "ViewCodeSequence": coded("postero-anterior")}, "PA"),
        ({"ViewPosition": "PA", "ViewCodeSequence": coded("antero-posterior")}, TWO),
        ({"ViewPosition": "PA", "ViewCodeSequence": coded("left lateral")}, TWO),
        ({"ViewCodeSequence": coded("antero-posterior")}, "AP"),
        ({"ViewCodeSequence": coded("left anterior oblique")}, LATERAL),
        ({"ViewPosition": "LORDOTIC"}, "LORDOTIC"),
        ({}, "PA"),  # and only this is assumed
    ],
)
def test_a_stated_view_is_never_overruled(dicom, tmp_path, tags, view):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = dicom(tmp_path / "a", RAMP, **{"ViewPosition": None, **tags})
    if view not in (TWO, LATERAL):
        assert read_facts(path, assume_view="PA").view == view
        assumed = "view assumed PA" in read_pixels(path, assume_view="PA").applied
        assert assumed == (not tags)
        return
    for read in (read_facts, read_pixels):
        with pytest.raises(Refused) as caught:
            read(path, assume_view="PA")
        assert caught.value.reason == ("view_missing" if view == TWO else "lateral_view")
        assert caught.value.evidence == view
