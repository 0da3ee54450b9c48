"""``python -m tests.tuning.leased SECONDS ...`` is ``python -m tuning ...`` with shorter leases."""

from __future__ import annotations

import sys

from tuning.__main__ import main
from tuning.claims import claims_of

if __name__ == "__main__":
    claims_of.__defaults__ = (float(sys.argv.pop(1)),)
    main(sys.argv[1:])
