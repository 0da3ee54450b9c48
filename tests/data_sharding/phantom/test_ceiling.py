"""Ceilings of three tasks: the closed forms against simulation, integration and scikit-learn."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

from data_sharding.phantom import ceiling
from data_sharding.phantom.bayes import age_density, class_probabilities, clinical_probabilities
from data_sharding.phantom.patients import (
    LATENT_SD,
    People,
    draw_people,
    draw_t_scores,
    latent_mean,
    low_bone_mass_probability,
    referred_for,
)
from data_sharding.phantom.vendors import ASAN, NORTH, SOUTH
from data_sharding.phantom.world import make_world

LI = replace(ASAN, mix=replace(ASAN.mix, referred=referred_for(ASAN.mix, 0.33)))


def drawn(site, n=60_000, seed=11):
    """People, and the class that one DXA gives each."""
    rng = np.random.default_rng(seed)
    people = draw_people(rng, site.mix, n)
    lowest = draw_t_scores(rng, people.latent, people.age).min(axis=1)
    return people, lowest, np.digitize(-lowest, [1.0 + 1e-9, 2.5 - 1e-9])


def assert_calibrated(p, happened):
    """In each tenth of the predictions, as many as predicted: within four standard errors."""
    edges = np.quantile(p, np.linspace(0, 1, 11)[1:-1])
    for k in range(10):
        part = np.digitize(p, edges) == k
        sd = np.sqrt(p[part].mean() * (1 - p[part].mean()) / part.sum())
        assert abs(happened[part].mean() - p[part].mean()) < 4 * sd + 1e-3


def test_the_worlds_of_before_keep_their_ceilings():
    """As world.json had them when there was one task."""
    found = ceiling.expected(ASAN)["low bone mass"]
    assert {k: found[k] for k in ceiling.FIRST} == {
        "ceiling": 0.9483, "latent": 0.9482, "age_and_sex": 0.6626,
        "prevalence": 0.3586, "n": 47135,
    }  # fmt: skip


def test_classes_given_latent_and_age_are_calibrated():
    people, _, category = drawn(LI)
    p = class_probabilities(people.latent, people.age)
    assert p.sum(axis=1) == pytest.approx(np.ones(len(p)))
    for k in range(3):
        assert_calibrated(p[:, k], category == k)
    two = p[:, 1] / (p[:, 0] + p[:, 1])
    assert two == pytest.approx(low_bone_mass_probability(people.latent, people.age), abs=1e-9)


@pytest.mark.parametrize("site", [NORTH, LI], ids=["population", "referred"])
@pytest.mark.parametrize("error", [None, 0.8])
def test_classes_given_what_is_known_of_a_patient_are_calibrated(site, error):
    people, _, category = drawn(site)
    read = None
    if error:
        read = people.latent + np.random.default_rng(1).normal(0, error, len(people.age))
    blind = replace(people, latent=np.full_like(people.latent, np.nan))
    p = clinical_probabilities(site.mix, blind, read, error or np.inf)
    for k in range(3):
        assert_calibrated(p[:, k], category == k)


def test_the_nodes_integrate_as_quadrature_does():
    age, female, height, bmi = 71.0, True, 160.0, 22.0
    one = People(*(np.array([x]) for x in (age, female, height, bmi * 2.56, np.nan)))
    centre = latent_mean(one.age, one.female, np.array([bmi]))[0] + SOUTH.mix.bone
    for k in range(3):
        exact = quad(
            lambda z, k=k: (
                class_probabilities(np.array([z]), one.age)[0, k] * norm.pdf(z, centre, LATENT_SD)
            ),
            *(centre - 8, centre + 8),
        )[0]
        assert clinical_probabilities(SOUTH.mix, one)[0, k] == pytest.approx(exact, abs=1e-3)


def test_ages_have_the_density_that_is_drawn():
    ages = draw_people(np.random.default_rng(2), SOUTH.mix, 100_000).age
    counts, edges = np.histogram(ages, bins=np.arange(41, 95, 2.0))
    middle = (edges[1:] + edges[:-1]) / 2
    assert counts / len(ages) / 2 == pytest.approx(age_density(SOUTH.mix, middle), abs=1e-3)


def test_expected_auroc_of_certain_labels_is_the_auroc():
    rng = np.random.default_rng(3)
    label, score = rng.random(300) < 0.3, rng.normal(size=300)
    found = ceiling.expected_auroc(label.astype(float), 1.0 - label, score)
    assert found == pytest.approx(roc_auc_score(label, score))


@pytest.mark.parametrize("task", list(ceiling.TASKS))
def test_what_is_expected_is_what_happens(task):
    """AUROCs without drawn labels against AUROCs of drawn ones, in other people."""
    people, lowest, category = drawn(LI, seed=12)
    least, without = ceiling.TASKS[task]
    kept = (people.age >= least) & (category != without)
    label = (category == 2 if task == "osteoporosis" else category >= 1)[kept]
    told = ceiling.expected(LI)[task]
    clinical = clinical_probabilities(LI.mix, people)
    found = ceiling.facts(people, lowest, task, clinical)
    for key, tolerance in (("ceiling", 0.004), ("latent", 0.004), ("clinical", 0.008)):
        assert told[key] == pytest.approx(found[key], abs=tolerance)
    assert found["prevalence"] == pytest.approx(label.mean(), abs=1e-4)
    for row in told["readings"]:
        noise = np.random.default_rng(4).normal(0, row["error"], len(lowest))
        picture = roc_auc_score(label, -(people.latent + noise)[kept])
        assert row["picture"] == pytest.approx(picture, abs=0.008)
        assert told["ceiling"] > row["combined"] > max(row["picture"], told["clinical"])


@pytest.mark.parametrize("error", [0.6, 1.0, 2.0])
def test_the_gain_of_a_reading_between_those_told(error):
    """With another error, of other people and labels; an ordinary regression combines."""
    people, _, category = drawn(LI, seed=13)
    read = people.latent + np.random.default_rng(5).normal(0, error, len(category))
    women, bmi = people.female, people.weight_kg / (people.height_cm / 100) ** 2
    known = np.stack([read, people.age, women, people.age * women, bmi], axis=1)
    known, half = (known - known.mean(axis=0)) / known.std(axis=0), len(category) // 2
    sick = category == 2
    fitted = LogisticRegression().fit(known[:half], sick[:half])
    reached = roc_auc_score(sick[half:], fitted.predict_proba(known[half:])[:, 1])
    told = ceiling.expected_combined(
        ceiling.expected(LI)["osteoporosis"], float(roc_auc_score(sick[half:], -read[half:]))
    )
    assert reached == pytest.approx(told, abs=0.012)


def test_the_gain_ends_where_there_is_nothing_to_gain():
    population = ceiling.expected(LI)["osteoporosis"]
    top, none = population["ceiling"], population["clinical"]
    assert ceiling.expected_combined(population, top) == pytest.approx(top)
    assert ceiling.expected_combined(population, 0.5) == pytest.approx(none)
    gains = [ceiling.expected_combined(population, a) - a for a in np.linspace(0.5, top, 30)]
    assert gains == sorted(gains, reverse=True)


def test_no_fitted_model_beats_what_age_sex_and_bmi_can_tell():
    people, _, category = drawn(LI)
    bmi = people.weight_kg / (people.height_cm / 100) ** 2
    known = np.stack([people.age, people.female, people.age * people.female, bmi], axis=1)
    half = len(bmi) // 2
    known = (known - known.mean(axis=0)) / known.std(axis=0)
    fitted = LogisticRegression().fit(known[:half], category[:half] == 2)
    reached = roc_auc_score(category[half:] == 2, fitted.predict_proba(known[half:])[:, 1])
    best = ceiling.expected(LI)["osteoporosis"]["clinical"]
    assert best - 0.03 < reached < best + 0.006


def test_accuracy_and_f1_are_those_of_sklearn_and_no_cuts_do_better():
    people, lowest, category = drawn(LI)
    found = ceiling.facts(people, lowest, "three classes")
    kept = people.age >= 50
    said = class_probabilities(people.latent, people.age).argmax(axis=1)[kept]
    assert found["accuracy"] == pytest.approx(accuracy_score(category[kept], said), abs=1e-4)
    f1 = f1_score(category[kept], said, average="macro")
    assert found["macro_f1"] == pytest.approx(f1, abs=1e-4)
    for low, high in ((-2.6, -1.2), (-2.2, -0.9), (-2.1, -0.7), (-1.9, -0.8)):
        cut = 2 - np.digitize(people.latent[kept], [low, high])
        assert accuracy_score(category[kept], cut) < found["accuracy"] + 0.002


def test_a_world_tells_each_site_and_task(tmp_path):
    tiny = {"internal": 9, "external": 0, "public": 1, "south": 3, "size": 64}
    world = make_world(tmp_path, **tiny, osteoporosis=0.33, workers=1)
    assert json.loads((tmp_path / "world.json").read_text()) == world
    assert list(world["ceilings"]) == ["asan", "north", "south"]
    for site in world["ceilings"].values():
        assert list(site) == ["population", "patients", "tasks"]
        for task in ceiling.TASKS:
            found = site["tasks"][task]
            assert found["population"]["ceiling"] > 0.9
            assert len(found["population"]["readings"]) == len(ceiling.ERRORS)
    nobody = world["ceilings"]["north"]["tasks"]["three classes"]["patients"]
    assert nobody["n"] == 0
    assert {v for k, v in nobody.items() if k != "n"} == {None}
