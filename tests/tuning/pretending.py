"""``python -m tuning`` with the trials of `tests.tuning.pretend`."""

import sys

from tests.tuning import pretend
from tuning import __main__, trial

if __name__ == "__main__":
    trial.train = pretend.train
    __main__.main(sys.argv[1:])
