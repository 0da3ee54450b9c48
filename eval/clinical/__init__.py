"""Clinical and combined models, reference scores, and what an image model owes to age and sex.

`clinical_of` makes them for a run; `eval.clinical.probe` needs neither trees nor a run.
"""

from __future__ import annotations

from pathlib import Path


def clinical_of(
    run: Path, image: str | None = None, seed: int = 0, monotone: bool = False
) -> list[Path]:
    """`eval.clinical.run.clinical_of`; XGBoost is imported only when it is called.

    Raises:
        ValueError: as there.
    """
    from eval.clinical.run import clinical_of as made

    return made(run, image, seed, monotone)
