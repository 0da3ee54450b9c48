"""Of a model that learnt, the region that carries the class comes first; of a random one it does
not. References: which of them say so too."""

import numpy as np
import pytest
import torch

from eval.faces.references import BLUR, REFERENCES, mean_face, references
from eval.faces.region_shap import REGIONS, region_shap
from eval.faces.tables import first_region
from eval.pictures.sanity import randomised
from tests.eval.faces.painted import learn, painted, preprocessor

CASES = ("forehead", "jawline")


def firsts(model, pictures, maps, labels, kind, pool):
    """The region that speaks most for the true class, [n]."""
    own = []
    for picture, of, label in zip(pictures, maps, labels, strict=True):
        others = preprocessor(references(kind, picture, pool))
        found = region_shap(model, preprocessor(picture[None])[0], of, others)
        own.append(found.values[:5, label])
        assert found.residual < 1e-5
    return first_region(np.array(own))


@pytest.fixture(scope="module", params=CASES)
def learnt(request):
    number = REGIONS.index(request.param) + 1
    seen, _, labels = painted(600, number, seed=1)
    pictures, maps, truth = painted(90, number, seed=2)
    model = learn(seen, labels)
    with torch.inference_mode():
        right = model(preprocessor(pictures)).argmax(1).numpy() == truth
    assert right.mean() > 0.9
    return model, pictures[right], maps[right], truth[right], seen[:4], number - 1


def test_the_region_that_carries_the_class_is_first(learnt):
    model, pictures, maps, truth, pool, carries = learnt
    first = firsts(model, pictures, maps, truth, "people", pool)
    assert (first == carries).mean() >= 0.9
    for label in range(3):  # the middle class too, which looks like the mean face
        assert (first == carries)[truth == label].mean() >= 0.9


def test_and_not_of_a_random_model(learnt):
    model, pictures, maps, truth, pool, carries = learnt
    some = slice(0, 30)
    shares = []
    for seed in range(3):
        other = randomised(model, seed)
        first = firsts(other, pictures[some], maps[some], truth[some], "people", pool)
        shares.append((first == carries).mean())
    assert np.mean(shares) < 0.5


def test_references_are_what_they_are_called():
    pictures, _, _ = painted(6, 4, seed=3)
    own, pool = pictures[0], list(pictures[1:4])
    made = {kind: references(kind, own, pool) for kind in REFERENCES}
    assert [len(made[k]) for k in REFERENCES] == [3, 1, 1, 1]
    assert (made["people"] == pictures[1:4]).all()
    np.testing.assert_allclose(made["mean"][0], pictures[1:4].mean(0), atol=0.5)
    assert not made["black"].any()
    wide = own.shape[0] * BLUR
    assert wide > 1
    assert made["blurred"][0].astype(float).std() < own.astype(float).std()
    assert (mean_face([own]) == own).all()
    with pytest.raises(ValueError, match="choose blurred"):
        references("people", own, [])
    with pytest.raises(ValueError, match="choose one of people, mean"):
        references("grey", own, pool)
