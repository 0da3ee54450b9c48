"""Names in keys."""

from __future__ import annotations

import pytest

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
