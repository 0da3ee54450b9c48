"""Tables of groups against pandas, what is kept back, which region is first, the random control."""

import numpy as np
import pandas as pd
import pytest

from eval.faces.region_shap import PLAYERS, REGIONS
from eval.faces.shapes import EXACT, MEAN, OWN, SUM, Settings
from eval.faces.tables import alikeness, first_region, leading, sanity, tables
from eval.faces.values import Pixels, Values

CLASSES = ("normal", "low bone mass", "osteoporosis")
FEW = Settings(draws=200, permutations=50)


def made(men=(12, 9, 8), women=(14, 10, 9), seed=0, networks=2):
    """Patients of each class and sex, every third with two pictures; values at random."""
    rng = np.random.default_rng(seed)
    truth, sex, patient = [], [], []
    for k in range(3):
        for n, s in ((men[k], "M"), (women[k], "F")):
            for i in range(n):
                for _ in range(1 + (i % 3 == 0)):
                    truth.append(k)
                    sex.append(s)
                    patient.append(f"{k}{s}{i}")
    n = len(truth)
    truth = np.array(truth)
    regions = rng.normal(size=(n, 6, 3)) + 0.1 * np.arange(6)[:, None]
    per_pixel = rng.normal(size=(n, 2, 6))
    per_pixel[:3, :, 1] = np.nan  # a region that three pictures do not have
    pixels = Pixels(rng.normal(size=(n, 2, 6)), per_pixel, np.zeros((n, 4, 4)), np.zeros((n, 2)))
    answer = np.where(np.arange(n) % 4 == 1, (truth + 1) % 3, truth)
    checked = np.flatnonzero(answer == truth)[:10]
    return Values(
        regions=regions, full=np.eye(3)[answer], base=np.zeros((n, 3)), residual=np.zeros(n),
        truth=truth, answer=answer, patient=np.array(patient, object), sex=np.array(sex, object),
        checked=checked, random=rng.normal(size=(networks, len(checked), 6, 3)),
        pixels=pixels, no_pixels=None, size=(4, 4),
    )  # fmt: skip


@pytest.mark.parametrize("group", ["everybody", "women", "men"])
@pytest.mark.parametrize("explained", [OWN, "osteoporosis"])
@pytest.mark.parametrize("measure", [EXACT, SUM, MEAN])
def test_means_and_spread_are_those_of_patients(group, explained, measure):
    v = made()
    (table,) = [
        t
        for t in tables(v, CLASSES, FEW)
        if (t.group, t.explained, t.measure) == (group, explained, measure)
    ]
    at, own = np.arange(len(v.truth)), explained == OWN
    if measure == EXACT:
        values = v.regions[at, :, v.truth] if own else v.regions[:, :, 2]
    else:
        of = v.pixels.total if measure == SUM else v.pixels.per_pixel
        values = of[:, 0 if own else 1]
    frame = pd.DataFrame(values, columns=list(PLAYERS)).assign(
        patient=v.patient, sex=v.sex, truth=v.truth
    )
    if group != "everybody":
        frame = frame[frame["sex"] == {"women": "F", "men": "M"}[group]]
    for k, told in enumerate(table.classes):
        rows = frame[frame["truth"] == k]
        # a patient's mean is of all pictures: NaN where one of them has none of the region
        each = rows.groupby("patient")[list(PLAYERS)].agg(lambda x: x.mean(skipna=False))
        assert (told.pictures, told.patients) == (len(rows), len(each))
        for x in told.values:
            np.testing.assert_allclose(
                [x.mean.value, x.sd], [each[x.player].mean(), each[x.player].std()]
            )
            assert x.mean.low < x.mean.value < x.mean.high


def test_intervals_are_of_patients_and_wide_enough():
    """Copies of a picture are no evidence."""
    v = made()
    rows = np.repeat(np.arange(len(v.truth)), 5)
    pixels = Pixels(*(getattr(v.pixels, f)[rows] for f in ("total", "per_pixel", "maps", "gap")))
    copied = Values(**{
        **vars(v), "pixels": pixels,
        **{f: getattr(v, f)[rows] for f in ("regions", "full", "base", "residual", "truth",
                                            "answer", "patient", "sex")},
    })  # fmt: skip
    for a, b in zip(tables(v, CLASSES, FEW), tables(copied, CLASSES, FEW), strict=True):
        for x, y in zip(a.classes, b.classes, strict=True):
            for one, other in zip(x.values, y.values, strict=True):
                np.testing.assert_allclose(one.mean.low, other.mean.low)


def test_small_groups_are_kept_back_and_nobody_can_subtract():
    v = made(men=(12, 3, 8), women=(14, 10, 9))
    told = {(t.group, c.name): c for t in tables(v, CLASSES, FEW) for c in t.classes}
    assert told["men", "low bone mass"].patients is None
    assert told["women", "low bone mass"].patients is None  # or men were the difference
    assert told["women", "low bone mass"].values == ()
    assert told["everybody", "low bone mass"].patients == 13
    assert told["men", "normal"].patients == 12
    assert told["men", "osteoporosis"].patients is None  # or all men less the normal ones were it
    alike = {(a.explained, a.group): a.found for a in alikeness(v, CLASSES, FEW)}
    assert alike[OWN, "men"] is None
    assert [x.first for x in alike[OWN, "everybody"].within] == [0, 1, 2]
    few = made(men=(2, 9, 8), women=(2, 10, 9))
    told = {(t.group, c.name): c for t in tables(few, CLASSES, FEW) for c in t.classes}
    assert told["everybody", "normal"].patients is None
    assert leading(few, CLASSES, FEW)[0].patients is None
    alone = made(men=(12, 2, 2), women=(14, 2, 1))
    assert all(a.found is None and a.undefined for a in alikeness(alone, CLASSES, FEW))


def test_nobody_of_a_class_is_told():
    v = made(men=(9, 0, 8), women=(9, 0, 9))
    told = {(t.group, c.name): c for t in tables(v, CLASSES, FEW) for c in t.classes}
    assert told["everybody", "low bone mass"].patients == 0
    assert told["everybody", "low bone mass"].values == ()
    assert leading(v, CLASSES, FEW)[1].patients == 0


def test_leading_counts_patients_answered_rightly():
    v = made()
    for k, told in enumerate(leading(v, CLASSES, FEW)):
        counts, none, people = (
            dict.fromkeys(REGIONS, 0),
            0,
            set(v.patient[v.right & (v.truth == k)]),
        )
        for who in people:
            mean = v.regions[(v.patient == who) & v.right][:, :5, k].mean(0)
            if mean.max() <= 0:
                none += 1
            else:
                counts[REGIONS[mean.argmax()]] += 1
        assert (told.patients, told.none) == (len(people), none)
        for x in told.regions:
            assert x.share.value == pytest.approx(counts[x.region] / len(people))
    assert first_region(np.array([[-1.0, -2], [0, 3]])).tolist() == [-1, 1]


def test_the_control_compares_pictures_with_themselves():
    v = made()
    told = sanity(v)
    same, cosines = [], []
    for at, i in enumerate(v.checked):
        own = v.regions[i, :5, v.truth[i]]
        for n in range(2):
            other = v.random[n, at, :5, v.truth[i]]
            same.append(own.max() > 0 and own.argmax() == other.argmax())
            cosines.append(abs(own @ other / np.linalg.norm(own) / np.linalg.norm(other)))
    assert told.same.value == pytest.approx(np.mean(same))
    assert told.pictures == 10
    shares = pd.Series(np.reshape(cosines, (-1, 2)).mean(1)).groupby(v.patient[v.checked]).mean()
    assert told.cosine.value == pytest.approx(shares.mean())


def test_the_control_fails_where_the_values_are_the_same_and_passes_where_they_are_not():
    v = made()
    many = np.flatnonzero(v.right)
    same = {**vars(v), "checked": many, "random": v.regions[many][None].repeat(2, axis=0)}
    assert sanity(Values(**same)).passed is False
    turned = {**same, "random": -same["random"]}
    assert sanity(Values(**turned)).passed is True
    few = {**turned, "checked": many[:2], "random": turned["random"][:, :2]}
    assert sanity(Values(**few)).passed is None
    none = {**turned, "checked": many[:0], "random": turned["random"][:, :0]}
    assert sanity(Values(**none)).same.value is None
