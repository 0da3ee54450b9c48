"""cluster/slurm.sbatch: its directives are sbatch's, and what it does with signals and exit codes.

The script itself runs here, under bash, with small programs in place of Slurm's, Ray's and ours.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from cluster.checks.network import PORTS
from cluster.submit import INTERRUPTED, STOP_S

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "cluster" / "slurm.sbatch"
TEXT = SCRIPT.read_text()
#: Long options of sbatch that we use, and the form of their values (man sbatch); None: no value.
OPTIONS = {
    "job-name": r"[\w-]+",
    "nodes": r"\d+(-\d+)?",
    "ntasks-per-node": r"\d+",
    "gpus-per-node": r"(\w+:)?\d+",
    "exclusive": None,
    "mem": r"\d+[KMGT]?",
    "time": r"(\d+-)?\d+(:\d\d){0,2}",
    "signal": r"(R?B?:)?([A-Z0-9]+)(@\d+)?",
    "requeue": None,
    "no-kill": None,
    "open-mode": r"append|truncate",
    "output": r"[\w%./-]+",
}


def directives(text):
    """--name -> value of each #SBATCH line before the first command; ValueError if not sbatch's."""
    found, done = {}, False
    for line in text.splitlines():
        if line.startswith("#SBATCH"):
            if done:
                raise ValueError(f"sbatch stops reading at the first command: {line}")
            match = re.fullmatch(r"#SBATCH --([a-z-]+)(?:=(\S+))?", line)
            if not match or match[1] not in OPTIONS:
                raise ValueError(f"not an option of sbatch that we know: {line}")
            name, value, form = match[1], match[2], OPTIONS[match[1]]
            if (value is None) != (form is None) or (form and not re.fullmatch(form, value)):
                raise ValueError(f"not a value that --{name} takes: {line}")
            if name in found:
                raise ValueError(f"--{name} stands twice")
            found[name] = value
        elif line and not line.startswith("#"):
            done = True
    return found


def test_the_directives_are_sbatchs():
    assert TEXT.startswith("#!/bin/bash\n"), "sbatch refuses a script without"
    found = directives(TEXT)
    assert found["ntasks-per-node"] == "1", "one Ray a node"
    assert {"requeue", "no-kill", "exclusive"} <= set(found)
    who, lead = re.fullmatch(r"(B:TERM)@(\d+)", found["signal"]).groups()
    assert who == "B:TERM", "to the shell alone, which tells the driver"
    drain = int(re.search(r"DRAIN_TIMEOUT_S=(\d+)", TEXT)[1])
    assert STOP_S <= drain < int(lead), "time for a checkpoint, and some"
    assert found["open-mode"] == "append", "a job that is queued again keeps its log"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("--nodes=2", "--node=2"),
        ("--nodes=2", "--nodes=two"),
        ("--nodes=2", "--nodes 2"),
        ("--time=24:00:00", "--time=24h"),
        ("--signal=B:TERM@300", "--signal=B:TERM 300"),
        ("--exclusive", "--exclusive=yes"),
        ("--requeue", "--requeue\n#SBATCH --requeue"),
        ("--mem=0", "--mem"),
        ("#SBATCH --mem=0", "true\n#SBATCH --mem=0"),
    ],
)
def test_a_spoilt_directive_is_refused(old, new):
    assert old in TEXT
    with pytest.raises(ValueError, match=r"sbatch|takes|twice"):
        directives(TEXT.replace(old, new, 1))


@pytest.mark.parametrize("old", ["fi\n", "done\n", "}\n"])
def test_the_shell_reads_it(old):
    def reads(text):
        return subprocess.run(["bash", "-n"], input=text, text=True, stderr=subprocess.DEVNULL)

    assert reads(TEXT).returncode == 0
    (node,) = re.findall(r"^node='(.*?)^'", TEXT, re.S | re.M)
    assert reads(node).returncode == 0
    assert reads(TEXT.replace(old, "\n")).returncode != 0


def test_rays_options_exist():
    from ray.scripts.scripts import healthcheck, start

    known = {o for p in start.params for o in p.opts}
    lines = re.findall(r"ray start (.*) &", TEXT)
    assert len(lines) == 2
    for line in lines:
        assert {w.split("=")[0] for w in line.split()} <= known
        assert "--block" in line, "else nothing drains when the node is told to stop"
    assert f"--port={PORTS['the head']}" in lines[0]
    assert "--dashboard-host=127.0.0.1" in lines[0]
    assert f'--address="$HEAD:{PORTS["the head"]}"' in lines[1]
    assert "--address" in {o for p in healthcheck.params for o in p.opts}


PROGRAMS = {
    "srun": 'echo "srun $*" >> "$LOG"; [ -z "${NODES:-}" ] || SLURM_NODEID=0 bash -c "${@: -1}"',
    "scontrol": 'echo "scontrol $*" >> "$LOG"; [ "$1" != show ] || printf "n1\\nn2\\n"',
    "scancel": 'echo "scancel $*" >> "$LOG"',
    "squeue": 'echo "${STATE:-RUNNING}"',
    "ray": 'echo "ray $* $RAY_AUTH_MODE ${#RAY_AUTH_TOKEN}" >> "$LOG"; exec sleep 60',
    "python": """
case "$*" in
  "-c "*) exec "$PYTHON" "$@" ;;
  "-m cluster wait"*) echo "$* $RAY_ADDRESS" >> "$LOG"; sleep "${WAIT:-0}"; exit "${FEW:-0}" ;;
  *) echo "driver $*" >> "$LOG"
     trap 'echo "driver got TERM" >> "$LOG"; sleep .3; exit 75' TERM
     if [ -n "${STAY:-}" ]; then sleep 20 & wait; else exit "${CODE:-0}"; fi ;;
esac""",
}


@pytest.fixture
def slurm(tmp_path):
    """Runs the script (after `meanwhile`, if given, with its process) -> exit code and log."""
    folder = tmp_path / ".venv" / "bin"
    folder.mkdir(parents=True)
    for name, text in PROGRAMS.items():
        (folder / name).write_text(f"#!/bin/bash\n{text}\n")
        (folder / name).chmod(0o755)
    log = tmp_path / "log"
    log.touch()

    def run(*words, meanwhile=None, **env):
        env = {
            "PATH": os.environ["PATH"],
            "LOG": str(log),
            "PYTHON": sys.executable,
            "OSTEORAY_HOME": "/data",
            "SLURM_SUBMIT_DIR": str(tmp_path),
            "SLURM_JOB_ID": f"9{os.getpid()}",
            "SLURM_JOB_NODELIST": "n[1-2]",
            "SLURM_JOB_NUM_NODES": "2",
            "SLURM_CPUS_ON_NODE": "8",
        } | env
        process = subprocess.Popen(["bash", str(SCRIPT), *words], env=env, start_new_session=True)
        try:
            if meanwhile:
                meanwhile(process, lambda: log.read_text())
            return process.wait(timeout=30), log.read_text()
        finally:
            with suppress(ProcessLookupError):  # Slurm ends what a job leaves behind: so do we
                os.killpg(process.pid, signal.SIGKILL)
            shutil.rmtree(f"/tmp/ray-{env['SLURM_JOB_ID']}", ignore_errors=True)

    return run


def until(said, word):
    end = time.monotonic() + 20
    while word not in said():
        assert time.monotonic() < end, f"never said {word!r}: {said()}"
        time.sleep(0.05)


def test_a_run_that_ends_is_not_queued_again(slurm):
    code, log = slurm("ospenscreen", "compute.workers=8")
    assert code == 0
    assert "driver -m training ospenscreen compute.workers=8\n" in log
    assert "-m cluster wait 2 n1:6379\n" in log
    assert "requeue" not in log


def test_with_fewer_nodes_the_run_decides(slurm):
    code, log = slurm("ospenscreen", FEW="2")
    assert code == 0
    assert "driver -m training" in log


def test_what_fails_is_not_queued_again(slurm):
    code, log = slurm("ospenscreen", CODE="3")
    assert code == 3
    assert "requeue" not in log


def test_what_was_interrupted_is_queued_again(slurm):
    code, log = slurm("ospenscreen", CODE="75")
    assert code == INTERRUPTED
    assert re.search(r"^scontrol requeue 9\d+$", log, re.M)


@pytest.mark.parametrize("env", [{"STATE": "COMPLETING"}, {"SLURM_RESTART_COUNT": "100"}])
def test_not_where_it_was_cancelled_and_not_for_ever(slurm, env):
    code, log = slurm("ospenscreen", CODE="75", **env)
    assert code == INTERRUPTED
    assert "requeue" not in log


def test_a_signal_reaches_the_driver_and_its_checkpoint_is_waited_for(slurm):
    def preempt(process, said):
        until(said, "driver -m training")
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        process.send_signal(signal.SIGTERM)  # Slurm sends it more than once

    code, log = slurm("ospenscreen", meanwhile=preempt, STAY="1")
    assert "driver got TERM" in log
    assert code == INTERRUPTED
    assert "scontrol requeue" in log


def test_a_signal_before_the_driver_starts(slurm):
    def preempt(process, said):
        until(said, "cluster wait")
        process.send_signal(signal.SIGTERM)

    code, log = slurm("ospenscreen", meanwhile=preempt, WAIT="1")
    assert code == INTERRUPTED
    assert "driver" not in log
    assert "scontrol requeue" in log


def test_what_cannot_run_is_said(slurm):
    assert slurm()[0] == 2
    assert slurm("ospenscreen", OSTEORAY_HOME="")[0] != 0


def test_each_node_starts_ray_with_the_jobs_own_token(slurm):
    def ready(process, said):
        until(said, "ray start")

    _, log = slurm("ospenscreen", NODES="1", meanwhile=ready, WAIT="1")
    (line,) = re.findall(r"^ray start .*", log, re.M)
    assert "--head" in line
    assert line.endswith(" token 64")


def test_a_node_that_slurm_asks_to_stop_tells_the_job_and_ray(slurm, tmp_path):
    (node,) = re.findall(r"^node='(.*?)^'", TEXT, re.S | re.M)

    def ask(process, said):
        env = {"PATH": f"{tmp_path}/.venv/bin:{os.environ['PATH']}", "LOG": str(tmp_path / "log")}
        env |= {"SLURM_NODEID": "0", "SLURM_JOB_ID": "7", "RAY_TMPDIR": str(tmp_path / "ray")}
        one = subprocess.Popen(["bash", "-c", node], env=env)
        until(said, "ray start")  # this node's, or the job's own
        until(lambda: str([p.name for p in tmp_path.iterdir()]), "'ray'")
        time.sleep(1)
        one.send_signal(signal.SIGTERM)
        assert one.wait(timeout=20) == 0
        assert not (tmp_path / "ray").exists(), "nothing is left on the node"

    _, log = slurm("ospenscreen", meanwhile=ask)
    assert "scancel --batch --signal=TERM 7\n" in log
