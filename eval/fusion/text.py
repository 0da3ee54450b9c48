"""What `python -m eval fusion` prints, and the files it leaves: fusion.json, fusion.md and
predictions.parquet, which ``python -m eval report DIR/predictions.parquet`` makes a report of."""

from __future__ import annotations

import io
from pathlib import Path

from data_sharding.schema import canonical_json, check_predictions, write_atomic
from eval.console import aligned
from eval.frames import Frame
from eval.fusion.shapes import Fusion, Judged, Met
from eval.reporting.text import p_value
from eval.runs import read_json

SCORES = ("score", "AUROC", "Brier", "calibration slope", "in the large")
GAINS = ("difference", "AUROC", "p", "p Holm")


def write(made: Fusion, predictions: Frame, folder: Path) -> Path:
    """Write the three files into `folder` and return that of the predictions.

    Raises:
        ValueError: the folder is a file, or a file of that name is something else's.
    """
    paths = [folder / n for n in ("predictions.parquet", "fusion.md", "fusion.json")]
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: is a file; --out names a folder")
    ours = read_json(paths[2]).get("format") == made.format
    if not ours and (there := [f for f in paths if f.exists()]):
        raise ValueError(f"{there[0]}: is not of a fusion; name another folder with --out")
    folder.mkdir(parents=True, exist_ok=True)
    # one file of all cohorts, as anybody's predictions come
    frame = check_predictions(predictions, "fusion").dropna(axis=1, how="all")
    data = io.BytesIO()
    frame.to_parquet(data, index=False)
    write_atomic(paths[0], data.getvalue())
    write_atomic(paths[1], markdown(made))
    write_atomic(paths[2], canonical_json(made.model_dump(mode="json")) + "\n")
    return paths[0]


def table(made: Fusion) -> str:
    """As lines: who has what, how the scores are weighed, what each is worth."""
    lines = [*map(met, made.met), "", *weights(made), ""]
    for c in made.cohorts:
        lines += [_caption(made, c), "", *aligned([SCORES, *_scores(c)]), ""]
        lines += [*aligned([GAINS, *_gains(c)]), ""]
    return "\n".join([*lines, *about(made)])


def markdown(made: Fusion) -> str:
    """The same to be pasted into a README."""
    parts = ["\n".join(f"- {met(m)}" for m in made.met)]
    for c in made.cohorts:
        parts += [_caption(made, c), _grid(SCORES, _scores(c)), _grid(GAINS, _gains(c))]
    return "\n\n".join([*parts, "\n".join(f"- {t}" for t in (*weights(made), *about(made)))]) + "\n"


def met(m: Met) -> str:
    """Who was fitted to, or judged, and who could not be."""
    known = [
        (m.only_face, f"one of the face only ({m.learnt_from_by_cxr:,} the CXR run learnt from)"),
        (m.only_cxr, f"one of the CXR only ({m.learnt_from_by_face:,} the face run learnt from)"),
        (m.other_role, "both, but tuning data of one run and test data of the other"),
        (m.unlabelled, "both, but no label"),
        (m.disagree, "both, with another label in each"),
    ]
    missing = "; ".join(f"{n:,} have {what}" for n, what in known if n)
    return f"{m.role}: {m.both:,} patients have both scores{f'; {missing}' if missing else ''}"


def weights(made: Fusion) -> list[str]:
    """Each stack as an equation in log odds."""
    n, sick = made.fitted_on
    said = [f"Fitted to {n:,} patients, {sick:,} with {made.event}, log odds of each score:"]
    for f in made.fitted:
        terms = " ".join(f"{w:+.3f} x {name}" for name, w in f.coefficients.items())
        said.append(f"{f.name}: {f.intercept:+.3f} {terms}")
    return said


def about(made: Fusion) -> list[str]:
    """How it was made, and what to beware of."""
    said = [
        f"Probability of {made.event}, one row a patient: the mean over their pictures. In "
        f"brackets {100 * made.confidence:g}% intervals: DeLong, the weights taken as given. Slope "
        "1 and in the large 0 are right. p: DeLong, paired; Holm over the differences of a cohort."
    ]
    if made.clinical is not None:
        said.append(
            f"clinical: {', '.join(made.clinical.used)}, a multinomial logistic model fitted to "
            f"{made.clinical.people:,} people of {made.clinical.where}."
        )
    else:
        said.append(f"There is no clinical score: {made.no_clinical}.")
    if made.mixed:
        said.append("Fitted to patients who are tuning data of one run and test data of the other, "
                    "too; they are not judged.")  # fmt: skip
    return [*said, *made.notes]


def _caption(made: Fusion, c: Judged) -> str:
    return f"{c.cohort}: {c.n:,} patients with both, {c.positives:,} with {made.event}"


def _scores(c: Judged) -> list[tuple[str, ...]]:
    return [
        (s.name, s.auroc.text(), s.brier.text(), s.slope.text(2), s.in_the_large.text(2))
        for s in c.scores
    ]


def _gains(c: Judged) -> list[tuple[str, ...]]:
    return [
        (f"{g.first} less {g.second}", g.difference.text(), _p(g.p), _p(g.p_holm)) for g in c.gains
    ]


def _p(p: float | None) -> str:
    return p_value(p).replace("–", "-")


def _grid(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(c.replace("<", "&lt;") for c in r) + " |" for r in lines)
