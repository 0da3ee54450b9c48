"""What stands in several files is the same in all: versions, images, variables, seconds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from cluster.checks.software import locked_versions
from cluster.submit import STOP_S

ROOT = Path(__file__).resolve().parents[2]
FILES = {
    name: (ROOT / "cluster" / name).read_text()
    for name in ("onprem.yaml", "raycluster.yaml", "rayjob.yaml", "slurm.sbatch", "Dockerfile")
}
#: Variables that are others' and not Ray's: their readers.
FOREIGN = {
    "WANDB_API_KEY": "wandb",
    "NVIDIA_VISIBLE_DEVICES": "the container's runtime",
    "NVIDIA_DRIVER_CAPABILITIES": "the container's runtime",
}


def variables(text):
    """Names of environment variables that a file sets."""
    names = re.findall(r"\{name: ([A-Z_]+),|- name: ([A-Z_]+)\b", text)
    names += [(n, "") for n in re.findall(r"(?:^|[\s;])([A-Z]+_[A-Z_]+)[=:]", text)]
    return {a or b for a, b in names}


@pytest.mark.parametrize("name", ["raycluster.yaml", "rayjob.yaml"])
def test_rays_version_is_the_locks(name):
    locked = locked_versions((ROOT / "requirements.lock").read_text())["ray"]
    assert re.findall(r"rayVersion: ([\d.]+)", FILES[name]) == [locked]


def test_the_image_is_the_one_that_is_built():
    (version,) = re.findall(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.M)
    images = set(re.findall(r"image: (\S+)", FILES["raycluster.yaml"] + FILES["rayjob.yaml"]))
    assert images == {f"osteoray:{version}"}
    for text in (FILES["Dockerfile"], (ROOT / "cluster" / "README.md").read_text()):
        assert set(re.findall(r"osteoray:[\d.]*\d", text)) == images


def readers():
    """The source in which a variable must stand: ours, and the parts of Ray that read ours."""
    import ray

    package = Path(ray.__file__).parent
    files = [package / "_common" / "utils.py", package / "_private" / "ray_constants.py"]
    for folder in ("_private/authentication", "_common/usage"):
        files += sorted((package / folder).glob("*.py"))
    files.append(package / "dashboard" / "modules" / "job" / "job_supervisor.py")
    files.append(ROOT / "cluster" / "access.py")  # Ray's own reader of the token is compiled
    folders = ("data_sharding", "training", "eval", "tuning")
    files += [p for folder in folders for p in sorted((ROOT / folder).rglob("*.py"))]
    return set(re.findall(r"\b[A-Z]+_[A-Z_]+\b", "".join(p.read_text() for p in files)))


@pytest.mark.parametrize("name", FILES)
def test_every_variable_is_read_by_somebody(name):
    found = variables(FILES[name])
    assert found & {"OSTEORAY_HOME", "RAY_JOB_STOP_WAIT_TIME_S"}
    assert found - readers() - set(FOREIGN) == set()


def test_a_variable_of_nobodys_would_be_seen():
    text = "env:\n  - {name: OSTEORAY_HOMES, value: x}\n  - name: B_TWO\nexport RAY_X=1 Y_Y=/a\n"
    assert variables(text) == {"OSTEORAY_HOMES", "B_TWO", "RAY_X", "Y_Y"}


def test_a_checkpoint_has_the_same_seconds_everywhere():
    seconds = set()
    for text in FILES.values():
        seconds |= set(re.findall(r"DRAIN_TIMEOUT_S(?:, value: \"|=)(\d+)", text))
        seconds |= set(re.findall(r"STOP_WAIT_TIME_S: \"(\d+)", text))
    assert seconds == {str(STOP_S)}


def test_nothing_is_told_to_anybody_outside():
    for name in FILES:
        assert re.search(r"RAY_USAGE_STATS_ENABLED(=|, value: \")0", FILES[name]), name


def test_memory_of_the_object_store_is_the_same_everywhere():
    found = set()
    for text in FILES.values():
        found |= set(re.findall(r"object-store-memory(?:=|: \")(\d+)", text))
    assert found == {"1000000000"}


def test_every_yaml_is_only_data():
    for name in ("onprem.yaml", "raycluster.yaml", "rayjob.yaml"):
        assert list(yaml.safe_load_all(FILES[name]))
        assert "!!" not in FILES[name]
        assert not re.search(r"[ \t]$", FILES[name], re.M)
