"""Being asked to stop: SIGTERM, a preemption notice, a stop from outside.

Training then writes a checkpoint and the process exits with 75 (EX_TEMPFAIL: try again), which
schedulers may take as a request to run the same command again.
"""

from __future__ import annotations

EXIT_CODE = 75


class Interrupted(Exception):
    """Training stopped at a checkpoint because it was asked to; the same command goes on."""
