"""The numbers of `data_sharding.screen`: a frontal chest and a lateral in 8x8 blocks.

Written by ``python -m tests.bench.screen ../shared/data --write``, which says what they were
fitted to. Logits: above 0 means more like it than like anything else. Rows are top to bottom; a
lung wants dark blocks (below 0), shoulders and abdomen bright ones. The lateral's back is right.
"""

FRONTAL_BIAS = -5.57
# fmt: off
FRONTAL = (
    # the mean of a block and its mirror: left half, from the edge to the middle
    -1.04, -0.84, -0.46, 0.07,
    0.58, 0.36, -0.30, 0.38,
    0.79, 0.68, -0.64, 0.13,
    -0.15, 0.02, -1.35, 0.15,
    -0.69, -0.55, -1.03, 0.28,
    -0.93, -0.20, 0.22, 1.52,
    -0.63, 0.30, 0.83, 2.01,
    -0.26, 0.29, 0.13, 0.35,
    # the square of that: left half, from the edge to the middle
    0.43, 0.67, 0.43, -0.74,
    -0.04, -0.03, 0.57, -0.42,
    -0.83, -0.18, 0.71, -0.59,
    -0.44, -0.28, -0.01, -0.20,
    0.20, -0.33, -0.30, 0.02,
    0.12, 0.16, -0.07, -0.63,
    0.08, 0.08, 0.00, -0.61,
    -0.20, 0.15, 0.14, -0.58,
    # the difference of the halves
    0.37,
)
# fmt: on

LATERAL_BIAS = -13.99
# fmt: off
LATERAL = (
    0.45, 0.24, 0.26, 0.00, -0.05, 0.59, 0.64, 0.28,
    -0.60, -0.64, -0.57, -0.83, -0.33, -0.23, -0.60, -1.02,
    -0.48, -1.07, 0.16, -0.42, -0.49, 0.73, -0.71, -0.86,
    -0.16, -0.75, 0.67, -0.11, -0.65, 0.96, -0.22, -0.25,
    -0.20, -0.24, 0.79, 0.19, -0.44, 0.55, 0.11, 0.12,
    -0.11, -0.48, 0.28, 0.85, 0.70, 0.68, -0.11, 0.16,
    -0.17, -0.66, 0.19, 0.98, 0.99, 0.72, -0.15, -0.29,
    -0.13, -0.21, -0.03, 0.36, 0.97, 0.66, 0.04, -0.08,
)
# fmt: on
