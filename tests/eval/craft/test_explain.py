"""The whole of it on planted textures: what was learnt comes out on top, of chance it does not."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import eval as eval_package
from eval.craft import Settings, explain
from eval.craft.page import section, write_json
from eval.craft.shapes import Craft
from tests.eval.browser import check_fits, needs_browser
from tests.eval.craft.conftest import SETTINGS, answers, subjects
from tests.eval.craft.planted import CELL, CLASSES, Small, planted


def share(concept):
    return next(w.share for w in concept.where if w.region == "planted")


def weighted(of_class):
    """The share of the planted texture, concepts weighted by their importance."""
    weight = [c.importance.value for c in of_class.concepts]
    return np.average([share(c) for c in of_class.concepts], weights=weight)


def on_texture(concept):
    """Share of best crops that overlap the planted texture's cell by a third of the crop."""
    cells = planted(120, 7).cell
    hits = []
    for crop in concept.best:
        r, c = cells[int(crop.key[1:])] * CELL
        y = min(crop.top + crop.side, r + CELL) - max(crop.top, r)
        x = min(crop.left + crop.side, c + CELL) - max(crop.left, c)
        hits.append(max(y, 0) * max(x, 0) >= crop.side**2 / 3)
    return np.mean(hits)


@pytest.mark.parametrize("name", CLASSES[1:])
def test_the_planted_concepts_come_out_on_top(found, name):
    made = next(k for k in found.craft.classes if k.name == name)
    first, *others = made.concepts
    assert first.importance.value > 0.8
    assert first.importance.low > max(c.importance.high for c in others if c.importance.high)
    assert share(first) > 0.35
    assert first.where[0].region == "planted"
    assert weighted(made) > 0.35
    assert on_texture(first) >= 0.75
    values = [c.importance.value for c in made.concepts]
    assert values == sorted(values, reverse=True)
    assert made.kept > 0.9
    assert [c.name for c in made.concepts] == [f"{name} {i}" for i in range(1, len(values) + 1)]


@pytest.mark.parametrize("name", CLASSES[1:])
def test_those_of_a_random_network_do_not(random_found, name):
    made = next(k for k in random_found.craft.classes if k.name == name)
    area = next(w.area for w in made.concepts[0].where if w.region == "planted")
    assert area == pytest.approx(1 / 9, abs=0.01)
    assert weighted(made) < 2 * area


def test_ambiguous_concepts_are_taken_apart_and_others_are_not(found):
    parents = [c for k in found.craft.classes for c in k.concepts if c.children]
    assert parents
    for k in found.craft.classes:
        assert sum(bool(c.children) for c in k.concepts) <= SETTINGS.recursed
        doubtful = [c for c in k.concepts if c.ambiguous]
        assert all(c.children for c in doubtful[: SETTINGS.recursed])
        for c in k.concepts:
            assert ("not stable" in c.ambiguous) == (not c.stable)
            assert c.purity < 0.5 or "outweighed" not in c.ambiguous
            assert c.ambiguous or not c.children
    for parent in parents:
        index = [d.index for d in parent.children if d.index is not None]
        assert index == sorted(index, reverse=True)
        assert max(index) > 0.3, "some child carries the parent"
        assert all(d.name.startswith(parent.name) for d in parent.children)
        assert 2 <= len(parent.children) <= SETTINGS.children
    assert found.craft.layer == "stages.2"
    assert found.craft.earlier == "stages.1"


def test_the_same_input_gives_the_same_bytes(found, learnt):
    again = explain(learnt, subjects(answers(learnt), faces=True), CLASSES, SETTINGS)
    assert again.craft.model_dump_json() == found.craft.model_dump_json()
    assert section(again) == section(found)


def test_json_is_read_back_as_it_was(found, tmp_path):
    path = write_json(found.craft, tmp_path / "report")
    assert Craft.model_validate_json(path.read_bytes()) == found.craft
    assert json.loads(path.read_text())["format"] == "osteoray-craft/1"


def test_faces_are_shown_only_where_they_may_be(found, random_found):
    shown, hidden = section(found), section(random_found)
    assert "best crops" in shown.lower()
    assert 'class="crops"' in shown
    assert 'class="crops"' not in hidden
    assert 'class="map"' in hidden, "means of ten people are nobody's face"
    for k in random_found.craft.classes:
        drawn = random_found.drawings[k.name]
        assert not any(drawn.crops.values())
        assert drawn.face is None
        for c in k.concepts:
            assert not c.best
            assert not any(d.best for d in c.children)
    assert not re.search(r"\bk\d{4}\b", random_found.craft.model_dump_json()), "no picture is named"


def test_too_few_people_have_no_mean_map(learnt):
    who = subjects(answers(learnt))
    few = np.flatnonzero(who.predicted == 1)[:6]
    alone = explain(learnt, who.some(few), CLASSES, SETTINGS)
    assert alone.craft.classes[1].patients == 6
    assert alone.drawings["striped"].maps is None
    assert "10 are the least" in section(alone)
    assert 'class="map"' not in section(alone)
    for name in ("plain", "dotted"):
        k = next(k for k in alone.craft.classes if k.name == name)
        assert k.undefined == "0 pictures were called so, and 4 are the least"
        assert k.undefined in section(alone)
    assert all(d.bits.value is None for d in alone.craft.divergences)


def test_instability_is_said(found):
    text = section(found)
    for k in found.craft.classes:
        loose = [c.name for c in k.concepts if not c.stable]
        if loose and len(loose) < len(k.concepts):
            assert f"Not stable: {', '.join(loose)}" in text
    assert any(not c.stable for k in found.craft.classes for c in k.concepts)


def test_a_face_branch_is_held(learnt):
    """A network told by an embedding: crops keep their picture's, and the wrong one is refused."""

    class Told(Small):
        def features(self, images, face=None):
            assert face is not None
            assert len(face) == len(images)
            return super().features(images) * (1 + face[:, :1, None, None])

    model = Told(1).eval()
    model.load_state_dict(learnt.state_dict())
    who = subjects(answers(learnt))
    told = replace(who, face=torch.zeros(120, 512))
    small = SETTINGS.model_copy(update={"recursed": 0, "pictures": 6})
    same = explain(model, told, CLASSES[:2], small).craft.model_dump_json()
    assert same == explain(learnt, who, CLASSES[:2], small).craft.model_dump_json()


def test_divergences_are_of_the_attention_maps(found):
    assert {(d.first, d.second) for d in found.craft.divergences} == {
        (a, b) for i, a in enumerate(CLASSES) for b in CLASSES[i + 1 :]
    }
    for d in found.craft.divergences:
        assert 0 <= d.bits.low <= d.bits.value <= d.bits.high <= 1
        assert 0 < d.p <= 1


def test_a_damaged_network_is_said_not_hidden(learnt):
    model = Small(1).eval()
    with torch.no_grad():
        model.stages[2].inner[0].bias.fill_(float("nan"))
    found = explain(model, subjects(answers(learnt)), CLASSES, SETTINGS)
    assert all("not finite" in k.undefined for k in found.craft.classes)
    assert "not finite" in section(found)
    assert "no class has concepts" in section(found)


def test_why_there_is_nothing_is_the_section():
    text = section("no <weights> there")
    assert "no &lt;weights&gt; there" in text
    assert text.count("<section") == text.count("</section>") == 1


def test_lists_of_other_lengths_are_refused():
    who = subjects(None)
    with pytest.raises(ValueError, match="120 images beside a list of 3"):
        replace(who, keys=("a", "b", "c"))
    with pytest.raises(ValueError, match="region 2 has no name"):
        replace(who, region_names=("one",))
    with pytest.raises(ValueError, match="points"):
        Settings(points=32)


def test_everybody_is_drawn_once_before_anybody_twice():
    who = subjects(np.zeros(120, int))
    drawn = who.drawn(0, 60, 0)
    assert len({who.patients[i] for i in drawn}) == 60
    more = who.drawn(0, 80, 0)
    assert len(more) == len(set(more)) == 80
    assert set(drawn) <= set(more)
    shuffled = np.random.default_rng(0).permutation(120)
    other = who.some(shuffled).drawn(0, 60, 0)
    assert {who.some(shuffled).keys[i] for i in other} == {who.keys[i] for i in drawn}


@needs_browser
def test_the_section_fits_a_phone(found, tmp_path):
    css = (Path(eval_package.__file__).parent / "templates" / "report.css").read_text()
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width"><style>{css}</style></head><body><main>'
        f"{section(found)!s}</main></body></html>"
    )
    check_fits(page, tmp_path, tables=3)
