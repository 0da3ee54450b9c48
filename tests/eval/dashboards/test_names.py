"""Names in keys."""

from __future__ import annotations

import pytest

from eval.dashboards.identity import bare
from eval.dashboards.names import slug, slugs


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("asan-test", "asan-test"),
        ("≥65", "from-65"),
        ("<18.5", "below-18_5"),
        ("Konica Minolta", "Konica-Minolta"),
        ("../../etc/passwd", "etc-passwd"),
        ("v1.2", "v1_2"),
        ("a\nb", "a-b"),
        ("日本", "unnamed"),
        ("x" * 500, "x" * 64),
        ("", "unnamed"),
    ],
)
def test_slugs_are_plain(name, found):
    assert slug(name) == found


def test_alike_slugs_are_numbered():
    assert slugs(["a/b", "a b", "a-b", "a/b"]) == {"a/b": "a-b", "a b": "a-b-2", "a-b": "a-b-3"}


def test_a_pseudonym_is_no_name():
    with pytest.raises(ValueError, match="a pseudonym is no name"):
        slug("cohort-00112233445566778899")


@pytest.mark.parametrize(
    ("value", "leaves"),
    [
        ("convnext_small.in12k_ft_in1k", True),
        ("low bone mass", True),
        ("ospenscreen:smoke", True),
        (0.5, True),
        (None, True),
        ("weights/of/doe", False),
        ("doe.safetensors", False),
        ("C:\\doe", False),
        ("s3://doe/x", False),
        ("a sentence that somebody wrote about a patient of theirs", False),
        ("x" * 65, False),
    ],
)
def test_settings_leave_as_words_and_numbers(value, leaves):
    assert bare({"a": [value]}) == {"a": [value if leaves else "(not told)"]}
