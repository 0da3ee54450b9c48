"""Imported by the fork server: workers are born with what each would have to do first.

Loading the libraries and the compiled kernels takes longer than dozens of pictures.
"""

from __future__ import annotations

import numpy as np

from data_sharding.copies import near as near  # what the jobs need
from data_sharding.packing import parts as parts
from data_sharding.pictures.cxr import centre, to_model, to_model_16
from data_sharding.pictures.display import grey
from data_sharding.pictures.screen import check

for kind in (np.uint8, np.uint16):
    picture = grey(np.arange(64 * 64).reshape(64, 64).astype(kind))
    check(to_model(picture, centre(picture), 32), picture.shown())
    to_model_16(picture, 32)
