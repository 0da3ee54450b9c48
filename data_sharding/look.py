"""The verbs that look and change nothing: ``python -m data_sharding VERB``."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from data_sharding.schema import REASONS, Manifest, write_atomic

app = typer.Typer()
Folder = Annotated[Path, typer.Argument(help="A packed dataset.")]


@app.command()
def info(folder: Folder) -> None:
    """What a packed dataset holds.

    \b
    python -m data_sharding info shards/asan
    """
    from data_sharding.reader import read_index

    manifest = Manifest.load(folder)
    index = read_index(folder, manifest)
    typer.echo(f"{manifest.name}: {manifest.role}, policy {manifest.policy}, {manifest.hash[:12]}")
    typer.echo(f"pictures: {manifest.image_dtype} {'x'.join(map(str, manifest.image_shape))}")
    for extra in manifest.extras:
        typer.echo(f"beside each: {extra.name}, {extra.dtype} {'x'.join(map(str, extra.shape))}")
    if (shown := manifest.settings.get("show_faces")) is not None:
        typer.echo(f"faces may {'' if shown is True else 'not '}be shown, by the study's consent")
    for split in dict.fromkeys(index["split"]):
        rows = index.loc[index["split"] == split]
        label, age, women = (rows[c] for c in ("label", "age", "sex"))
        shares = [f"{(label == n).mean():.1%} {name}" for n, name in enumerate(manifest.classes)]
        typer.echo(
            f"{split}: {len(rows)} samples, {rows['patient'].nunique()} patients, "
            f"{', '.join(shares) or 'unlabelled'}, age {age.min():.0f} to {age.max():.0f}, "
            f"{(women == 'F').mean():.0%} women"
        )
    typer.echo(f"settings: {manifest.settings}")


@app.command()
def verify(folder: Folder) -> None:
    """Check every byte of a dataset against its manifest; exit code 1 if one differs.

    \b
    python -m data_sharding verify shards/asan
    """
    from data_sharding.reader import verify as check

    wrong = check(folder)
    for line in wrong:
        typer.echo(line)
    if wrong:
        raise typer.Exit(1)
    typer.echo(f"{folder}: as it was packed")


@app.command()
def ledger(
    folder: Folder,
    picture: Annotated[Path | None, typer.Option(help="Draw it, too: an SVG file.")] = None,
) -> None:
    """The flow of a dataset: what went in, what came out, and why the rest did not.

    \b
    python -m data_sharding ledger shards/asan
    python -m data_sharding ledger shards/asan --picture flow.svg
    """
    from data_sharding import flow

    manifest = Manifest.load(folder)
    for line in flow.table(manifest):
        typer.echo(line)
    if picture:
        write_atomic(picture, flow.svg(manifest))
        typer.echo(f"{picture}: the same as a picture")


@app.command()
def leaks(
    folders: Annotated[list[str], typer.Argument(help="Datasets that are used together.")],
    workers: Annotated[int, typer.Option(help="Processes [one per core].")] = 0,
) -> None:
    """Patients and pictures on two sides that must not meet; exit code 4 if there are any.

    What is learnt from (train, public) and what is judged on (tune, test, external) must share no
    patient and no picture: not the same, nor resized, recompressed, flipped or cropped.

    \b
    python -m data_sharding leaks shards/asan shards/north shards/nih
    """
    from data_sharding.leaks import find, lines, of_dataset
    from data_sharding.packing.pool import local

    with closing(local(workers)) as crew:
        found = find([of_dataset(x) for x in folders], crew=crew, echo=typer.echo)
    for line in lines(found, most=1000):
        typer.echo(line)
    if found:
        raise typer.Exit(4)


@app.command()
def policies(
    compare: Annotated[
        tuple[str, str] | None, typer.Option(help="Two policies, on the tables of --site.")
    ] = None,
    site: Annotated[Path | None, typer.Option(help="Folder with dxa.csv.")] = None,
    identify: Annotated[
        bool, typer.Option("--identify", help="Print patient ids as they are.")
    ] = False,
) -> None:
    """The label policies: what each makes of a DXA measurement; or where two disagree.

    \b
    python -m data_sharding policies
    python -m data_sharding policies --compare ospenscreen/1 face2bone/1 --site data/asan
    """
    from data_sharding.labels.compare import read_tables, report
    from data_sharding.labels.policies import FILTERS, POLICIES, describe, policy

    if compare is None:
        blocks = [describe(POLICIES[name]) for name in sorted(POLICIES)]
        blocks += [
            [name, *(f"  {line}" for line in FILTERS[name].splitlines())] for name in FILTERS
        ]
        typer.echo("\n\n".join("\n".join(block) for block in blocks))
        return
    if site is None:
        raise ValueError("--compare needs --site, a folder with dxa.csv")
    first, second = (policy(name) for name in compare)
    paired, _ = read_tables(site)
    for line in report(paired, first, second, str if identify else None):
        typer.echo(line)


@app.command()
def columns() -> None:
    """The columns of every table that is read: meaning, unit, range, an example."""
    from data_sharding.sources.columns import describe

    typer.echo(describe())


@app.command()
def count(
    table: Annotated[Path, typer.Argument(help="NIH's or CheXpert's table, .gz or not.")],
    min_age: Annotated[float, typer.Option(help="Years.")] = 50,
    view: Annotated[list[str] | None, typer.Option(help="[PA and AP]")] = None,
) -> None:
    """What the public filter (public-normal/1) makes of a metadata table, without any picture.

    \b
    python -m data_sharding count nih/Data_Entry_2017_v2020.csv.gz --view PA
    """
    from data_sharding.sources.public import NormalRules, flow_of_table

    views = tuple(v.upper() for v in view or ()) or NormalRules().views
    for step, patients in flow_of_table(table, NormalRules(min_age=min_age, views=views)):
        typer.echo(f"{step.step}: {step.n_in} in, {step.n_out} out, of {patients} patients")
        for reason, n in step.excluded.items():
            typer.echo(f"  {n:6d}  {REASONS[reason]}")
