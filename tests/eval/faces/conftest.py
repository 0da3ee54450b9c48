"""One packed study of painted faces and a run that learnt it, for all tests of the command."""

import pytest

from eval.faces.explain import explain
from eval.faces.shapes import Settings
from tests.eval.faces.face_run import face_run

QUICK = Settings(each=12, people=2, samples=4, networks=2, checked=18, permutations=99, draws=100)


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    return face_run(tmp_path_factory.mktemp("painted"))


@pytest.fixture(scope="session")
def told(run):
    """Explained, with leave to show faces."""
    return explain(run, settings=QUICK, show_faces=True)
