"""Runs on the phantom's people, made once."""

import shutil

import pytest

from tests.eval.classes.cases import build


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    return build(tmp_path_factory.mktemp("classes"), 240, 2)


@pytest.fixture
def runs(template, tmp_path):
    """(first, second, softmax, ordinal), to be changed."""
    return tuple(shutil.copytree(run, tmp_path / run.name) for run in template)
