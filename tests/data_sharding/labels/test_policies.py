"""Both edges of every boundary of every policy, and what policies have to say of each other."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_sharding.labels.policies import (
    FILTERS,
    POLICIES,
    Measurement,
    Rules,
    describe,
    policy,
)
from data_sharding.labels.readings import lowest
from data_sharding.schema import DXA_SITES, REASONS

ABOVE, BELOW = "0.00000000000000000001", "-0.00000000000000000001"  # lost in a float


def measured(t: str, **rest) -> Measurement:
    """The lowest T at the femoral neck, the other sites higher."""
    scores = {"lumbar_spine": "4", "femoral_neck": t, "total_hip": "3.9"}
    return Measurement({site: Decimal(x) for site, x in scores.items()}, **rest)


def just(t: str, step: str) -> str:
    return str(Decimal(t) + Decimal(step))


# who: normal 0 | -1.0 | osteopenia 1 | -2.5 | osteoporosis 2
EDGES = {
    "who/1": [("-1.0", 0, 0, 1), ("-2.5", 1, 2, 2)],
    "three-class/1": [("-1.0", 0, 0, 1), ("-2.5", 1, 2, 2)],
    "ospenscreen/1": [("-1.0", 0, 0, 1), ("-2.5", 1, None, None)],
    "li2026/1": [("-1.0", 0, 0, 0), ("-2.5", 0, 1, 1)],
    "face2bone/1": [("-1.0", 0, 1, 1), ("-2.5", 1, 2, 2)],
    "z-score/1": [("-1.0", 0, 0, 1), ("-2.5", 1, 2, 2)],
}
EDGE_ROWS = [(name, *row) for name, rows in EDGES.items() for row in rows]


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("who/1+minus-one=normal", (0, 0, 1)),
        ("who/1+minus-one=osteopenia", (0, 1, 1)),
        ("face2bone/1+minus-one=normal", (0, 0, 1)),
        ("face2bone/1+minus-one=osteopenia", (0, 1, 1)),
        ("face2bone/1+vertebrae=4+minus-one=normal", (0, 0, 1)),
    ],
)
def test_what_exactly_minus_one_is_can_be_said(name, labels):
    """The paper's classes with WHO's boundary, or the other way round; -2.5 is not asked."""
    found = policy(name)
    person = {"sex": "F", "menopausal": "post"}
    around = [just("-1.0", ABOVE), "-1.0", just("-1.0", BELOW)]
    assert tuple(found.judge(measured(t, **person)).label for t in around) == labels
    assert found.judge(measured("-2.5", **person)).label == 2
    assert found.judge(measured(just("-2.5", ABOVE), **person)).label == 1
    assert found.name == name
    assert found.classes == policy(name.split("+")[0]).classes
    if name.startswith("face2bone"):
        assert found.judge(measured("-1.0", sex="F", menopausal="pre")).excluded == "not_in_policy"


def test_where_minus_one_is_not_to_be_chosen():
    for name in ("ospenscreen/1", "li2026/1", "three-class/1", "z-score/1"):
        with pytest.raises(ValueError, match="of who/1 and face2bone/1"):
            policy(f"{name}+minus-one=normal")
    for value in ("osteoporosis", "", "0"):
        with pytest.raises(ValueError, match="minus-one=normal or osteopenia"):
            policy(f"who/1+minus-one={value}")


def test_faces_take_every_photograph_and_radiographs_one():
    assert {name for name, found in POLICIES.items() if found.rules.every} == {"face2bone/1"}
    assert policy("face2bone/1+vertebrae=4").rules.every
    assert not policy("face2bone/1").rules.overridden(every=False).every
    assert any("each picture" in line for line in describe(policy("face2bone/1")))
    assert any("the closest pair" in line for line in describe(policy("who/1")))


def test_every_policy_has_its_edges_here():
    assert EDGES.keys() == POLICIES.keys()


@pytest.mark.parametrize(("name", "edge", "above", "at", "below"), EDGE_ROWS)
def test_just_above_at_and_just_below_each_boundary(name, edge, above, at, below):
    for t, label in ((just(edge, ABOVE), above), (edge, at), (just(edge, BELOW), below)):
        said = policy(name).judge(measured(t, sex="F", menopausal="post", age=60))
        assert said.label == label, t
        assert (said.site, said.lowest_t) == ("femoral_neck", Decimal(t))
        assert t in said.audit
        assert "femoral neck" in said.audit
        assert (label is None) == (said.excluded == "osteoporosis")


@pytest.mark.parametrize(
    ("t", "label", "severity", "excluded"),
    [
        ("3.0", 0, "normal", ""),
        ("-0.9", 0, "normal", ""),
        ("-1.0", 0, "normal", ""),
        ("-1", 0, "normal", ""),
        ("-1.00000000000000001", 1, "mild", ""),
        ("-1.1", 1, "mild", ""),
        ("-1.49", 1, "mild", ""),
        ("-1.5", 1, "moderate", ""),
        ("-1.9", 1, "moderate", ""),
        ("-1.99999999999999999999", 1, "moderate", ""),
        ("-2.0", 1, "advanced", ""),
        ("-2.4", 1, "advanced", ""),
        ("-2.4999999999999999999", 1, "advanced", ""),
        ("-2.5", None, None, "osteoporosis"),
        ("-2.50", None, None, "osteoporosis"),
        ("-4", None, None, "osteoporosis"),
    ],
)
def test_the_severity_bands_of_ospenscreen(t, label, severity, excluded):
    said = policy("ospenscreen/1").judge(measured(t))
    assert (said.label, said.severity, said.excluded) == (label, severity, excluded)
    assert policy("three-class/1").judge(measured(t)).severity == severity


def test_the_lowest_site_decides_and_ties_go_to_the_first():
    t = {"lumbar_spine": Decimal("-1.2"), "femoral_neck": None, "total_hip": Decimal("-1.20")}
    assert lowest(t) == ("lumbar_spine", Decimal("-1.2"))
    assert lowest({**t, "total_hip": Decimal("-1.3")}) == ("total_hip", Decimal("-1.3"))
    assert lowest({"trochanter": Decimal("-3")}) is None
    for name in ("who/1", "ospenscreen/1", "three-class/1", "li2026/1"):
        assert policy(name).judge(Measurement({})).excluded == "no_t_score"


def z_measured(z: str | None, **rest) -> Measurement:
    """T says osteoporosis and must not be looked at where Z is."""
    z_scores = {"total_hip": None if z is None else Decimal(z)}
    return measured("-3.1", z_scores=z_scores, **rest)


@pytest.mark.parametrize(("z", "label"), [(just("-2.0", ABOVE), 3), ("-2.0", 4), ("-2.1", 4)])
@pytest.mark.parametrize(
    "person", [{"sex": "F", "menopausal": "pre", "age": 61}, {"sex": "M", "age": 49.99}]
)
def test_z_scores_decide_before_menopause_and_under_50(z, label, person):
    said = policy("z-score/1").judge(z_measured(z, **person))
    assert (said.label, said.site, said.excluded) == (label, "total_hip", "")
    assert said.lowest_t is None
    assert said.severity is None
    assert policy("z-score/1").classes[label].startswith("within" if label == 3 else "below")
    assert z in said.audit
    assert "total hip" in said.audit


@pytest.mark.parametrize(
    ("person", "excluded", "label"),
    [
        ({"sex": "F", "menopausal": "post", "age": None}, "", 2),
        ({"sex": "F", "menopausal": "post", "age": 40}, "", 2),
        ({"sex": "F", "menopausal": "pre"}, "no_z_score", None),
        ({"sex": "F", "menopausal": "", "age": 80}, "menopause_unknown", None),
        ({"sex": "M", "age": 50}, "", 2),
        ({"sex": "M", "age": 49.9}, "no_z_score", None),
        ({"sex": "M", "age": None}, "age_unknown", None),
        ({"sex": "", "age": 60, "menopausal": "post"}, "sex_unknown", None),
    ],
)
def test_whom_the_z_rule_reads_by_t(person, excluded, label):
    said = policy("z-score/1").judge(z_measured(None, **person))
    assert (said.excluded, said.label) == (excluded, label)


@pytest.mark.parametrize(
    ("person", "excluded"),
    [
        ({"sex": "F", "menopausal": "post"}, ""),
        ({"sex": "F", "menopausal": "pre", "age": 60}, "not_in_policy"),
        ({"sex": "F", "age": 60}, "menopause_unknown"),
        ({"sex": "M", "age": 50.0027}, ""),
        ({"sex": "M", "age": 50}, "not_in_policy"),
        ({"sex": "M"}, "age_unknown"),
        ({"age": 60}, "sex_unknown"),
    ],
)
def test_whom_face2bone_takes(person, excluded):
    assert policy("face2bone/1").judge(measured("-1.7", **person)).excluded == excluded


@pytest.mark.parametrize("gone", DXA_SITES)
def test_face2bone_needs_a_complete_dxa(gone):
    t = {site: None if site == gone else Decimal("-1.2") for site in DXA_SITES}
    said = policy("face2bone/1").judge(Measurement(t, sex="F", menopausal="post"))
    assert said.excluded == "site_missing"
    assert gone.replace("_", " ") in said.audit


@pytest.mark.parametrize(
    ("vertebrae", "counts"),
    [
        ((), True),
        (("L1",), True),
        (("L1", "l4"), True),
        (("L1", "L1", "T12", "L5"), True),  # one of the four
        (("L1", "L2", "L3"), False),
        (("L1", "L2", "L3", "L4"), False),
    ],
)
def test_the_lumbar_spine_counts_with_two_evaluable_vertebrae(vertebrae, counts):
    t = {"lumbar_spine": Decimal("-2.6"), "total_hip": Decimal("-1.2")}
    person = {"sex": "F", "menopausal": "post", "excluded_vertebrae": vertebrae}
    for name in ("who/1", "z-score/1"):
        said = policy(name).judge(Measurement(t, **person))
        assert said.site == ("lumbar_spine" if counts else "total_hip")
        assert said.label == (2 if counts else 1)
        assert ("left out" in said.audit) == (not counts)
        alone = policy(name).judge(Measurement({"lumbar_spine": Decimal("-2.6")}, **person))
        assert alone.excluded == ("" if counts else "too_few_vertebrae")
    full = Measurement({**t, "femoral_neck": Decimal("0")}, **person)
    assert policy("face2bone/1").judge(full).excluded == ("" if counts else "site_missing")
    # as reported: the papers name no vertebrae
    for name in ("ospenscreen/1", "three-class/1", "li2026/1"):
        assert policy(name).judge(Measurement(t, **person)).site == "lumbar_spine"


def test_z_scores_of_too_few_vertebrae_do_not_count_either():
    z = {"lumbar_spine": Decimal("-2.4"), "femoral_neck": Decimal("-1")}
    person = {"sex": "M", "age": 30, "excluded_vertebrae": ("L1", "L2", "L3")}
    assert policy("z-score/1").judge(Measurement({}, z, **person)).label == 3
    only = Measurement({}, {"lumbar_spine": Decimal("-2.4")}, **person)
    assert policy("z-score/1").judge(only).excluded == "too_few_vertebrae"
    assert policy("z-score/1").judge(measured("-3", **person)).excluded == "no_z_score"


def test_variants_ask_for_more_and_say_so_in_their_name():
    one = Measurement({"femoral_neck": Decimal("-3")})
    strict = policy("ospenscreen/1+required=all+vertebrae=2")
    assert strict.name == "ospenscreen/1+required=all+vertebrae=2"
    assert (strict.required, strict.min_vertebrae) == (DXA_SITES, 2)
    assert policy("ospenscreen/1").judge(one).excluded == "osteoporosis"
    assert strict.judge(one).excluded == "site_missing"
    assert policy("who/1+required=femoral_neck").judge(one).label == 2
    young = {"sex": "M", "age": 30}
    by_z = Measurement({"total_hip": Decimal("0")}, {"femoral_neck": Decimal("0")}, **young)
    assert policy("z-score/1+required=femoral_neck").judge(by_z).label == 3
    assert policy("z-score/1+required=total_hip").judge(by_z).excluded == "site_missing"
    for wrong in ("required=", "required=hip", "vertebrae=0", "vertebrae=5", "x=1", ""):
        with pytest.raises(ValueError, match="policy condition"):
            policy(f"who/1+{wrong}")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("ospenscreen/9", "Did you mean ospenscreen/1"),
        ("OsPenScreen/1", "Did you mean ospenscreen/1"),
        ("who", "Did you mean who/1"),
        ("xyz", "There is face2bone/1, li2026/1"),
        ("public-normal/1", "chooses public pictures"),
    ],
)
def test_an_unknown_policy_says_what_was_meant(asked, said):
    with pytest.raises(ValueError, match=said):
        policy(asked)


def test_what_is_printed_names_source_classes_and_windows():
    for found in POLICIES.values():
        lines = describe(found)
        assert lines[0] == found.name
        assert any("classes: 0 " in line for line in lines)
        assert "Source: " in found.says
    assert any("184 at gh" in line for line in describe(policy("ospenscreen/1")))
    assert "50 <= age < 100" in FILTERS["public-normal/1"]


def test_windows_by_source_and_what_a_user_changes():
    rules = policy("ospenscreen/1").rules
    windows = {"amc": 0, "SCH": 0, "amc-external": 92, "vhsmc": 180, "gh": 184, "asan": 180}
    assert {source: rules.window(source) for source in windows} == windows
    assert rules.overridden() == rules
    own = rules.overridden(window_days=30, view="ap", study="first")
    assert (own.window("sch"), own.window("asan"), own.view, own.study) == (30, 30, "AP", "first")
    assert rules.overridden(window_days=0).window("gh") == 0
    assert rules.overridden(min_age=0).min_age == 0
    with pytest.raises(ValueError, match="at least 0"):
        Rules().overridden(window_days=-1)
    with pytest.raises(ValueError, match="closest or first"):
        Rules().overridden(study="last")


scores = st.none() | st.decimals("-5", "3", places=2, allow_nan=False)
measurements = st.builds(
    Measurement,
    t_scores=st.fixed_dictionaries(dict.fromkeys(DXA_SITES, scores)),
    z_scores=st.fixed_dictionaries(dict.fromkeys(DXA_SITES, scores)),
    excluded_vertebrae=st.lists(st.sampled_from(["L1", "L2", "L3", "L4"]), unique=True).map(tuple),
    age=st.none() | st.floats(0, 110),
    sex=st.sampled_from(["F", "M", ""]),
    menopausal=st.sampled_from(["pre", "post", ""]),
)


@given(measurements)
def test_policies_agree_where_they_must(m):
    said = {name: found.judge(m) for name, found in POLICIES.items()}
    who, osp, three, li, face, z = (
        *(said["who/1"], said["ospenscreen/1"], said["three-class/1"], said["li2026/1"]),
        *(said["face2bone/1"], said["z-score/1"]),
    )
    if osp.label is not None:
        assert three.label == osp.label
        assert li.label == 0
        if len(m.excluded_vertebrae) <= 2 and who.label is not None:
            assert who.label == osp.label
    assert (three.label == 2) == (osp.excluded == "osteoporosis") == (li.label == 1)
    if z.label is not None and z.label <= 2:
        assert z.label == who.label
    if face.label is not None:
        assert face.label == who.label or face.lowest_t == Decimal("-1.0")
    for name, verdict in said.items():
        assert (verdict.label is None) == bool(verdict.excluded)
        assert not verdict.excluded or verdict.excluded in REASONS
        assert verdict.label is None or 0 <= verdict.label < len(POLICIES[name].classes)
        assert verdict.audit
        assert POLICIES[name].judge(m) == verdict  # pure


@given(measurements)
def test_who_is_the_rule_of_three_written_out_by_fractions(m):
    left = [
        (Fraction(t), DXA_SITES.index(site))
        for site, t in m.t_scores.items()
        if t is not None and not (site == "lumbar_spine" and len(m.excluded_vertebrae) > 2)
    ]
    said = policy("who/1").judge(m)
    if not left:
        assert said.label is None
        return
    t, place = min(left)
    assert said.site == DXA_SITES[place]
    assert said.label == (t < -1) + (t <= Fraction(-5, 2))
