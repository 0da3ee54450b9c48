"""The numbers of `pictures.screen`: a frontal chest and a lateral in 8x8 blocks.

Written by ``python -m tests.bench.screen ../shared/data --write``, which says what they were
fitted to. Logits: above 0 means more like it than like anything else. Rows are top to bottom; a
lung wants dark blocks (below 0), shoulders and abdomen bright ones. The lateral's back is right.
"""

FRONTAL_BIAS = -5.42
# fmt: off
FRONTAL = (
    # the mean of a block and its mirror: left half, from the edge to the middle
    -1.01, -0.88, -0.46, 0.07,
    0.66, 0.37, -0.35, 0.37,
    0.83, 0.63, -0.74, 0.14,
    -0.17, 0.04, -1.39, 0.11,
    -0.68, -0.48, -1.11, 0.30,
    -0.90, -0.23, 0.17, 1.56,
    -0.54, 0.33, 0.78, 2.05,
    -0.27, 0.31, 0.12, 0.37,
    # the square of that: left half, from the edge to the middle
    0.47, 0.61, 0.46, -0.68,
    -0.10, 0.01, 0.45, -0.48,
    -0.86, -0.21, 0.59, -0.63,
    -0.36, -0.26, -0.32, -0.15,
    0.19, -0.42, -0.17, -0.02,
    0.14, 0.11, -0.06, -0.61,
    0.08, 0.08, -0.03, -0.61,
    -0.16, 0.12, 0.18, -0.58,
    # the difference of the halves
    0.40,
)
# fmt: on

LATERAL_BIAS = -14.32
# fmt: off
LATERAL = (
    0.46, 0.20, 0.26, 0.04, -0.02, 0.62, 0.60, 0.31,
    -0.62, -0.62, -0.57, -0.92, -0.39, -0.15, -0.61, -1.06,
    -0.49, -1.00, 0.07, -0.43, -0.52, 0.69, -0.65, -0.88,
    -0.16, -0.83, 0.67, -0.08, -0.64, 1.00, -0.29, -0.25,
    -0.13, -0.31, 0.77, 0.27, -0.41, 0.58, 0.09, 0.19,
    -0.09, -0.45, 0.07, 0.85, 0.66, 0.53, -0.01, 0.18,
    -0.19, -0.63, 0.21, 1.03, 0.98, 0.82, -0.09, -0.32,
    -0.09, -0.25, 0.05, 0.35, 0.98, 0.74, -0.02, -0.08,
)
# fmt: on
