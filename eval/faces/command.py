"""The verb `faces` of `python -m eval`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from eval import console
from eval.console import or_exit, quiet
from eval.faces.references import Reference


def faces(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="the run's folder, with its datasets")],
    show_faces: Annotated[
        bool, typer.Option("--show-faces", help="draw faces, where the study's people agreed")
    ] = False,
    model: Annotated[str | None, typer.Option(metavar="MODEL", help="whose answers")] = None,
    cohort: Annotated[
        str | None, typer.Option(metavar="COHORT", help="by default the first not tuned on")
    ] = None,
    each: Annotated[int, typer.Option(metavar="N", min=1, help="pictures of each class")] = 40,
    people: Annotated[
        int, typer.Option(metavar="N", min=1, help="others that the reference is made of")
    ] = 4,
    reference: Annotated[
        Reference, typer.Option(help="what a region is replaced by when it is taken out")
    ] = "people",
    score: Annotated[
        Literal["log odds", "logit"], typer.Option(help="of a class, explained")
    ] = "log odds",
    no_pixels: Annotated[bool, typer.Option("--no-pixels", help="leave out pixel SHAP")] = False,
    no_concepts: Annotated[bool, typer.Option("--no-concepts", help="leave out CRAFT")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="where to write what is made")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="JSON on stdout, and nothing else")
    ] = False,
) -> None:
    """What of a face speaks for the answer: five regions exactly, pixels, concepts; who is alike.

    Writes RUN/report/faces.html and .json (and craft.json). Shapley values of five regions and the
    background take 64 evaluations of the model for each picture and each person of the reference.
    Faces are on the page only with --show-faces, of a study whose consent.json allows it.
    """
    from eval.faces.explain import explain
    from eval.faces.page import write_page
    from eval.faces.shapes import Settings
    from eval.faces.words import console as lines

    settings = Settings(
        each=each, people=people, reference=reference, score=score, pixels=not no_pixels
    )
    with quiet(as_json):
        told = or_exit(lambda: explain(run, model, cohort, settings, show_faces))
        page, _ = or_exit(lambda: write_page(told, out or run / "report", concepts=not no_concepts))
    if as_json:
        console.emit(told.faces.model_dump(mode="json"))
    else:
        typer.echo(lines(told.faces))
        typer.echo(f"report: {page}")
