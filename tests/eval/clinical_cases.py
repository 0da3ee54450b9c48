"""Made people with a known tie of age, weight and sex to low bone mass. Data for tests."""

import numpy as np
import pandas as pd


def made(n, seed, repeats=1, prefix="p"):
    """Rows with clinical columns, a label, and `image`: the probability of a fair image model."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(n), repeats)
    age, women = rng.uniform(50, 85, n).round(1)[who], (rng.random(n) < 0.6)[who]
    weight = (np.where(women, 58.0, 70.0) + rng.normal(0, 9, n)[who]).round(1)
    height = (np.where(women, 157.0, 170.0) + rng.normal(0, 6, n)[who]).round(1)
    own = rng.normal(0, 0.7, n)[who]
    t = own - 0.05 * (age - 65) + 0.03 * (weight - 62) - 0.3 * women - 0.9
    size = age.size
    logit = -1.5 * (t + 1) + rng.normal(0, 1, size)
    return pd.DataFrame(
        {
            "key": [f"{prefix}-k{i:05d}" for i in range(size)],
            "patient": [f"{prefix}{i:05d}" for i in who],
            "label": pd.array((t < -1).astype(int), dtype="Int64"),
            "age": age,
            "sex": np.where(women, "F", "M"),
            "height_cm": height,
            "weight_kg": weight,
            "image": 1 / (1 + np.exp(-logit)),
        }
    )
