"""The numbers of `data_sharding.screen`: a frontal chest and a lateral in 8x8 blocks.

Written by ``python -m tests.bench.screen ../shared/data --write``, which says what they were
fitted to. Logits: above 0 means more like it than like anything else. Rows are top to bottom; a
lung wants dark blocks (below 0), shoulders and abdomen bright ones. The lateral's back is right.
"""

FRONTAL_BIAS = -5.49
# fmt: off
FRONTAL = (
    # the mean of a block and its mirror: left half, from the edge to the middle
    -1.04, -0.83, -0.48, 0.07,
    0.63, 0.45, -0.45, 0.37,
    0.84, 0.59, -0.66, 0.14,
    -0.17, 0.04, -1.48, 0.14,
    -0.69, -0.48, -1.07, 0.28,
    -0.95, -0.21, 0.20, 1.60,
    -0.56, 0.33, 0.79, 2.05,
    -0.28, 0.35, 0.11, 0.36,
    # the square of that: left half, from the edge to the middle
    0.46, 0.66, 0.41, -0.65,
    -0.10, -0.07, 0.51, -0.49,
    -0.80, -0.11, 0.29, -0.53,
    -0.38, -0.27, -0.05, -0.20,
    0.21, -0.38, -0.24, 0.00,
    0.11, 0.12, -0.09, -0.61,
    0.06, 0.08, -0.04, -0.62,
    -0.16, 0.13, 0.15, -0.58,
    # the difference of the halves
    0.41,
)
# fmt: on

LATERAL_BIAS = -14.24
# fmt: off
LATERAL = (
    0.45, 0.23, 0.27, 0.03, -0.02, 0.64, 0.62, 0.29,
    -0.62, -0.64, -0.56, -0.92, -0.40, -0.15, -0.62, -1.06,
    -0.48, -1.01, 0.07, -0.43, -0.51, 0.68, -0.66, -0.88,
    -0.15, -0.81, 0.68, -0.08, -0.63, 1.02, -0.27, -0.25,
    -0.15, -0.31, 0.76, 0.26, -0.42, 0.57, 0.08, 0.17,
    -0.09, -0.45, 0.09, 0.85, 0.66, 0.54, -0.02, 0.19,
    -0.19, -0.65, 0.22, 1.01, 0.97, 0.83, -0.11, -0.30,
    -0.11, -0.25, 0.07, 0.33, 0.97, 0.76, -0.02, -0.09,
)
# fmt: on
