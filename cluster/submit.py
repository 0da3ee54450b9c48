"""Send a command of ours to a Ray cluster: the `ray job submit` that is easy to get wrong.

What it adds: the token, the address rule, OSTEORAY_HOME for the job, time for a last checkpoint
when the job is stopped, and a look at what would be uploaded (`cluster.upload`).
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from cluster.upload import EXCLUDES

MODULES = ("training", "tuning", "eval", "data_sharding")
#: Seconds from SIGTERM to SIGKILL when a job is stopped. Ray's own are 3: too few for a checkpoint.
STOP_S = 120
#: What training ends with when it was interrupted and wrote a checkpoint (EX_TEMPFAIL).
INTERRUPTED = 75


def command(
    ray: str,
    address: str,
    home: Path,
    words: Sequence[str],
    module: str = "training",
    submission_id: str = "",
    wait: bool = True,
    env: Mapping[str, str] | None = None,
) -> list[str]:
    """The `ray job submit` that runs ``python -m MODULE WORDS`` on the cluster.

    `home` is where shards and runs lie as the cluster's machines see it, `env` more variables.

    Raises:
        ValueError: no such module, nothing to run, or `home` is not absolute.
    """
    if module not in MODULES:
        raise ValueError(f"{module}: not one of {', '.join(MODULES)}")
    if not words:
        raise ValueError("nothing to run: python -m cluster submit -- ospenscreen:smoke")
    if not home.is_absolute():
        raise ValueError(f"{home}: OSTEORAY_HOME must be absolute, jobs run in another folder")
    # The job's supervisor reads the waiting time from the job's own environment.
    own = {"OSTEORAY_HOME": str(home), "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_S)}
    runtime_env = {"env_vars": own | dict(env or {}), "excludes": list(EXCLUDES)}
    line = [ray, "job", "submit", "--address", address, "--working-dir", "."]
    line += ["--runtime-env-json", json.dumps(runtime_env)]
    line += ["--submission-id", submission_id] if submission_id else []
    line += [] if wait else ["--no-wait"]
    return [*line, "--", "python", "-m", module, *words]


def variables(pairs: Sequence[str]) -> dict[str, str]:
    """``NAME=VALUE`` words as a dictionary.

    Raises:
        ValueError: no such form, or a name that sounds like a secret: whoever may list the jobs
            of a cluster reads their environment.
    """
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z_]\w*", name):
            raise ValueError(f"--env {pair.partition('=')[0]}: write --env NAME=VALUE")
        if re.search(r"KEY|TOKEN|SECRET|PASS|CREDENTIAL", name.upper()):
            raise ValueError(
                f"--env {name}: every user of the cluster can read a job's environment; set "
                "secrets where Ray is started (Kubernetes Secret, ~/.netrc, systemd credential)"
            )
        found[name] = value
    return found


def new_id(module: str) -> str:
    """A submission's name: when, and four random digits; ``training-20260102-030405-9f3a``."""
    return f"{module}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"


def ray_cli() -> str:
    """The `ray` of this Python's environment; ValueError if it has none."""
    beside = Path(sys.executable).with_name("ray")
    found = str(beside) if beside.exists() else shutil.which("ray")
    if not found:
        raise ValueError("no ray command beside this python: make setup, then .venv/bin/python")
    return found
