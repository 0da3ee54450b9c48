"""Become a command that is asked to stop (SIGTERM) when the process that began it is gone.

    python bound.py PARENT COMMAND ARGUMENT...      # PARENT is the caller's process id

A driver or a Ray worker that is killed would leave its fold at work, and the fold's folder held.
Linux only (prctl); elsewhere such a fold goes on to its end. It is run by its path: nothing of the
package is imported.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
EXIT_CODE = 75

if __name__ == "__main__":
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # it went before it could be bound to
            sys.exit(EXIT_CODE)
    os.execv(command[0], command)
