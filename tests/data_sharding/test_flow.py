"""The flow diagram: every number is there, sums are checked, nothing overlaps, any text is safe."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest

from data_sharding.flow import svg, table, width, wrap
from data_sharding.schema import REASONS, FlowStep, Manifest, Shard

SVG = "{http://www.w3.org/2000/svg}"


def manifest(flow: list[FlowStep], splits: dict[str, int], **more: Any) -> Manifest:
    shards = [
        {"path": f"{s}.tar", "split": s, "samples": n, "bytes": 1, "sha256": ""}
        for s, n in splits.items()
    ]
    facts: dict[str, Any] = {
        **{"name": "asan", "role": "internal", "policy": "ospenscreen/1", "classes": ("a", "b")},
        **{"settings": {}, "image_shape": (8, 8), "key_id": "", "index_sha256": ""},
        **{"ledger_sha256": "", "leaks": (), "flow": tuple(flow)},
        "shards": tuple(Shard.model_validate(s) for s in shards),
    }
    return Manifest.model_validate(facts | more)


def step(said: str, unit: Any, n_in: int, n_out: int, **excluded: int) -> FlowStep:
    return FlowStep(step=said, unit=unit, n_in=n_in, n_out=n_out, excluded=excluded)


def hospital(**more: Any) -> Manifest:
    flow = [
        step("dxa.csv rows", "row", 12345, 12340, bad_date=3, duplicate_row=2),
        step("files to chest radiographs", "file", 700, 650, looks_lateral=49, under_exposed=1),
        step("patients with a DXA and a chest radiograph", "patient", 500, 480, no_dxa=20),
        step("patients with a PA view", "patient", 480, 480),
        step("radiographs to samples", "image", 650, 480, not_selected=170),
    ]
    return manifest(flow, {"train": 336, "tune": 48, "test": 96}, **more)


def drawn(text: str) -> tuple[list[str], list[tuple[float, ...]]]:
    """The texts of a picture, and its boxes but for the paper: (left, top, right, bottom)."""
    root = ET.fromstring(text)
    rects = [
        tuple(float(r.get(k) or 0) for k in ("x", "y", "width", "height"))
        for r in root.iter(f"{SVG}rect")
    ]
    boxes = [(x, y, x + w, y + h) for x, y, w, h in rects[1:]]
    return ["".join(t.itertext()) for t in root.iter(f"{SVG}text")], boxes


def test_every_number_and_reason_is_in_the_picture() -> None:
    texts, _ = drawn(svg(hospital()))
    for said in ("12,345", "12,340", "700", "650", "500", "480", "336", "48", "96", "170", "49"):
        assert said in texts
    for code in ("bad_date", "looks_lateral", "no_dxa", "not_selected"):
        assert REASONS[code] in texts
    for said in ("5 rows left out", "20 patients left out", "train samples", "dxa.csv rows"):
        assert said in texts


def test_the_table_says_the_same_and_ends_with_the_check() -> None:
    lines = table(hospital())
    assert lines[0] == "dxa.csv rows: 12345 rows in, 12340 out"
    assert lines[1] == f"       3  {REASONS['bad_date']}"
    assert "patients with a PA view: 480 patients in, 480 out" in lines
    assert lines[-1] == (
        "total: 480 samples (train 336, tune 48, test 96); left out: 5 rows, 50 files, "
        "20 patients, 170 images; the sums of 5 steps are right"
    )


def test_it_stands_alone_and_is_the_same_each_time() -> None:
    text = svg(hospital())
    assert text == svg(Manifest.model_validate_json(hospital().model_dump_json()))
    assert re.findall(r"https?://[^\"']*", text) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"<(script|style|image|use|foreignObject)|href|url\((?!#tip\))", text)


@pytest.mark.parametrize(
    ("at", "change"),
    [
        (1, {"n_out": 651}),
        (1, {"n_in": 699}),
        (1, {"excluded": {"looks_lateral": 50, "under_exposed": 1}}),
        (1, {"excluded": {"looks_lateral": 51, "under_exposed": -1}}),
        (4, {"n_out": 479, "n_in": 649}),  # adds up, but the shards hold 480
    ],
)
def test_a_manifest_edited_by_hand_is_refused_naming_the_step(at: int, change: Any) -> None:
    flow = list(hospital().flow)
    flow[at] = flow[at].model_copy(update=change)
    wrong = hospital().model_copy(update={"flow": tuple(flow)})
    for draw in (svg, table):
        with pytest.raises(ValueError, match=re.escape(repr(flow[at].step))):
            draw(wrong)


def test_allowed_leaks_are_red() -> None:
    leaks = tuple(f"{k:016x} (train) = {k + 1:016x} (test): resized copy" for k in range(40))
    texts, _ = drawn(svg(hospital(leaks=leaks)))
    assert "40 leaks between splits, known and allowed" in texts
    assert leaks[0] in texts
    assert "and 28 more" in texts
    root = ET.fromstring(svg(hospital(leaks=leaks)))
    red = [t for t in root.iter(f"{SVG}text") if t.get("fill") == "#b3261e"]
    assert len(red) == 1 + 12 + 1
    assert sum(line.startswith("\x1b[31m") for line in table(hospital(leaks=leaks))) == 41
    assert not any("\x1b" in line for line in table(hospital()))


def test_any_text_is_safe() -> None:
    nasty = "rows <b>&\"'</text><script>x()</script> \x00\x1b\ud800\ufffe \u80ba\u708e"
    flow = [step(nasty, "row", 3, 1, **{nasty: 2})]
    texts, _ = drawn(svg(manifest(flow, {}, policy="<&>", leaks=(nasty,))))
    joined = " ".join(texts)
    assert "<b>&\"'</text><script>x()</script>" in joined.replace(" ", "")
    assert "\u80ba\u708e" in joined
    svg(manifest(flow, {})).encode()  # can be written as UTF-8


def test_an_empty_dataset_can_be_drawn() -> None:
    assert drawn(svg(manifest([], {})))[1] == []
    lines = table(manifest([], {}))
    assert lines == ["total: 0 samples (none); left out: nothing; the sums of 0 steps are right"]


def test_boxes_never_overlap_and_text_stays_inside() -> None:
    rng = np.random.default_rng(0)
    codes = [*REASONS, "a_reason_from_another_version_" + "x" * 90]
    for trial in range(60):
        flow, n = [], int(rng.integers(0, 10**6))
        for k in range(int(rng.integers(1, 12))):
            unit = str(rng.choice(["file", "row", "image", "patient"]))
            some = rng.choice(codes, int(rng.integers(0, 9)), replace=False)
            gone = {str(c): int(rng.integers(1, 10**4)) for c in some}
            words = " ".join(["a step of many words"] * int(rng.integers(1, 6)))
            n = n if rng.random() < 0.5 else int(rng.integers(0, 10**6))
            flow.append(step(f"{words} {k}", unit, n + sum(gone.values()), n, **gone))
        splits = ["train", "tune", "test", "external", "public"][: int(rng.integers(1, 6))]
        shared = dict.fromkeys(splits, 0) | {"train": n}
        leaks = tuple(f"leak {i} " + "of many words " * 20 for i in range(trial % 3))
        text = svg(manifest(flow, shared, leaks=leaks))
        root = ET.fromstring(text)
        _, boxes = drawn(text)
        page = [float(v) for v in (root.get("viewBox") or "").split()]
        for x0, y0, x1, y1 in boxes:
            assert 0 <= x0 < x1 <= page[2]
            assert 0 <= y0 < y1 <= page[3]
        for a, b in itertools.combinations(boxes, 2):
            apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
            assert apart, (trial, a, b)
        for t in list(root.iter(f"{SVG}text"))[2:]:  # below the title and its line of facts
            x, y, size = (float(t.get(k) or 0) for k in ("x", "y", "font-size"))
            long = width("".join(t.itertext()), size)
            left = x - long * {"middle": 0.5, "end": 1}.get(t.get("text-anchor") or "", 0)
            inside = [b for b in boxes if b[0] <= left and left + long <= b[2] and b[1] < y < b[3]]
            assert len(inside) == 1, (trial, "".join(t.itertext()))


def test_widths_are_those_of_helvetica() -> None:
    path = Path(matplotlib.get_data_path()) / "fonts/pdfcorefonts/Helvetica.afm"
    lines = re.findall(r"^C (-?\d+) ; WX (\d+) ; N (\w+)", path.read_text("latin-1"), re.MULTILINE)
    by_code = {int(code): int(wide) for code, wide, _ in lines}
    by_name = {name: int(wide) for _, wide, name in lines}
    by_code |= {ord("'"): by_name["quotesingle"], ord("`"): by_name["grave"]}  # Adobe's differ
    for code in range(32, 127):
        assert width(chr(code), 1000) == by_code[code], chr(code)


def test_wrapping_keeps_every_letter() -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        words = ["".join(rng.choice(list("abWi.\u00e9"), rng.integers(1, 40))) for _ in range(8)]
        rows = wrap(" ".join(words), 120, 13)
        assert "".join(rows).replace(" ", "") == "".join(words)
        assert all(width(row, 13) <= 120 for row in rows)
        assert len(rows) < 2 or all(rows)
