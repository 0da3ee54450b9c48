"""The command line: ``python -m data_sharding VERB``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer

from data_sharding.ledger import NothingUsable
from data_sharding.schema import REASONS, Manifest, write_atomic

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="""From DICOM and DXA tables to WebDataset shards, with every exclusion counted.

\b
python -m data_sharding pack data/asan shards/asan
python -m data_sharding pack data/north shards/north --role external
python -m data_sharding pack data/nih shards/nih
python -m data_sharding info shards/asan
""",
)
Site = Annotated[Path, typer.Argument(help="A hospital's folder, or a public set's.")]
Folder = Annotated[Path, typer.Argument(help="A packed dataset.")]


@app.command()
def pack(
    site: Site,
    out: Annotated[Path, typer.Argument(help="Folder for the shards; OUT.private gets the key.")],
    role: Annotated[str, typer.Option(help="internal, external or public.")] = "",
    name: Annotated[str, typer.Option(help="Source name [the folder's].")] = "",
    kind: Annotated[str, typer.Option(help="auto, dxa, face, nih or chexpert.")] = "auto",
    size: Annotated[int, typer.Option(help="Side of the picture, pixels.")] = 512,
    window_days: Annotated[
        int | None, typer.Option(help="Most days between picture and DXA [the policy's].")
    ] = None,
    min_age: Annotated[float | None, typer.Option(help="Years at the picture [50].")] = None,
    study: Annotated[str, typer.Option(help="closest or first pair [the policy's].")] = "",
    seed: Annotated[int, typer.Option(help="Of the split.")] = 0,
    view: Annotated[list[str] | None, typer.Option(help="[PA; NIH: PA and AP]")] = None,
    assume_view: Annotated[str, typer.Option(help="View of files that do not say.")] = "",
    policy: Annotated[
        str, typer.Option(help="See `policies` [ospenscreen/1; faces: face2bone/1].")
    ] = "",
    screen: Annotated[bool, typer.Option(help="Refuse what does not look like a chest.")] = True,
    shard_samples: Annotated[int, typer.Option(help="Samples in one tar.")] = 256,
    workers: Annotated[int, typer.Option(help="Processes [one per core].")] = 0,
    on_ray: Annotated[bool, typer.Option("--on-ray", help="Ray tasks on all nodes.")] = False,
    key_file: Annotated[Path | None, typer.Option(help="64 hex digits [made at first].")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Replace what is in OUT.")] = False,
    show_paths: Annotated[
        bool, typer.Option("--show-paths", help="Name files and quote cells, as only you may read.")
    ] = False,
) -> None:
    """Pack a folder into shards. Running it again returns at once if nothing changed.

    \b
    A DXA-paired site:  SITE/dicom/**, SITE/dxa.csv, SITE/clinical.csv (optional)
    A face study:       SITE/photos/**, SITE/photos.csv (optional), dxa.csv, clinical.csv
    NIH ChestX-ray14:   DIR/images/*.png, DIR/Data_Entry*.csv (.gz too, both editions)
    CheXpert:           DIR/train.csv, DIR/valid.csv, DIR/train/patient00001/...
    `python -m data_sharding columns` says what is in each table.

    \b
    python -m data_sharding pack data/asan shards/asan
    python -m data_sharding pack data/north shards/north --role external --window-days 90

    What does not go through is in OUT/ledger.csv with a reason. Exit code 4: nothing usable.
    """
    from data_sharding.pack import pack as run

    run(
        site,
        out,
        role=_role(role),
        name=name or None,
        kind=kind,  # pyright: ignore[reportArgumentType]  (checked there)
        size=size,
        window_days=window_days,
        min_age=min_age,
        study=study or None,  # pyright: ignore[reportArgumentType]  (checked there)
        seed=seed,
        views=view or (),
        assume_view=assume_view,
        label_policy=policy,
        screen=screen,
        shard_samples=shard_samples,
        workers=workers or None,
        on_ray=on_ray,
        key_file=key_file,
        fresh=fresh,
        show_paths=show_paths,
        echo=typer.echo,
    )


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
    for split in dict.fromkeys(index["split"]):
        rows = index.loc[index["split"] == split]
        label, age, women = (rows[c].to_numpy() for c in ("label", "age", "sex"))
        positive = [value == 1 for value in label if not pd.isna(value)]
        share = f"{np.mean(positive):.1%} low bone mass" if positive else "unlabelled"
        typer.echo(
            f"{split}: {len(rows)} samples, {len(set(rows['patient']))} patients, {share}, "
            f"age {np.nanmin(age):.0f} to {np.nanmax(age):.0f}, {np.mean(women == 'F'):.0%} women"
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
    from data_sharding.compare import read_tables, report
    from data_sharding.policies import FILTERS, POLICIES, describe, policy

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
    from data_sharding.columns import describe

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
    from data_sharding.public import NormalRules, flow_of_table

    views = tuple(v.upper() for v in view or ()) or NormalRules().views
    for step, patients in flow_of_table(table, NormalRules(min_age=min_age, views=views)):
        typer.echo(f"{step.step}: {step.n_in} in, {step.n_out} out, of {patients} patients")
        for reason, n in step.excluded.items():
            typer.echo(f"  {n:6d}  {REASONS[reason]}")


@app.command()
def merge(
    folders: Annotated[list[Path], typer.Argument(help="Packed datasets, and last the result.")],
    name: Annotated[str, typer.Option(help="Of the result [its folder's].")] = "",
) -> None:
    """Several datasets that were packed alike as one. Splits stay as they are.

    \b
    python -m data_sharding merge shards/asan shards/seoul shards/both
    """
    from data_sharding.rearrange import merge as run

    run(folders[:-1], folders[-1], name or folders[-1].name, typer.echo)


@app.command()
def split(
    folder: Folder,
    out: Annotated[Path, typer.Argument(help="Folder for the result.")],
    fractions: Annotated[str, typer.Option(help="Shares of the patients; they sum to 1.")],
    seed: Annotated[int, typer.Option(help="Of the split.")] = 0,
) -> None:
    """A dataset with its patients split anew, stratified by label, sex and age. Nothing is decoded.

    \b
    python -m data_sharding split shards/asan shards/asan-80 --fractions train=0.8,test=0.2
    """
    from data_sharding.rearrange import split as run

    run(folder, out, fractions, seed, typer.echo)


@app.command()
def phantom(
    out: Annotated[Path, typer.Argument(help="Folder for the sites of the world.")],
    seed: Annotated[int, typer.Option()] = 0,
    internal: Annotated[int, typer.Option(help="Patients of the internal site.")] = 900,
    external: Annotated[int, typer.Option(help="Patients of the external site.")] = 300,
    public: Annotated[int, typer.Option(help="Patients of the public set.")] = 600,
    size: Annotated[int, typer.Option(help="Side of the pictures, pixels.")] = 512,
    confounder: Annotated[float, typer.Option(help="0 none to 1: a shortcut to fall for.")] = 0.0,
    workers: Annotated[int, typer.Option(help="Processes [one per core].")] = 0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Replace the world in OUT.")] = False,
) -> None:
    """Make a synthetic world of sites to pack: known bone density, nobody's data.

    \b
    python -m data_sharding phantom data/phantom --internal 60 --external 20 --public 40
    """
    from data_sharding.phantom.world import make_world
    from data_sharding.pool import progress

    show = progress("patients", internal + external + public, typer.echo)
    world = make_world(
        out,
        seed=seed,
        internal=internal,
        external=external,
        public=public,
        size=size,
        confounder=confounder,
        workers=workers or None,
        fresh=fresh,
        progress=lambda done, total: show(),
    )
    pictures = ", ".join(f"{site} {n}" for site, n in world["images"].items())
    typer.echo(f"{out}: radiographs of {pictures}")


def _role(text: str) -> Any:
    if text and text not in ("internal", "external", "public"):
        raise ValueError(f"role {text!r}: internal, external or public")
    return text or None


def main(arguments: list[str] | None = None) -> None:
    """Run and exit: 0, 2 for a mistake of the user, 4 for a folder with nothing usable."""
    try:
        app(arguments)
    except NothingUsable as e:
        typer.echo(f"{e}", err=True)
        sys.exit(4)
    except ValueError as e:
        typer.echo(f"error: {e}", err=True)
        sys.exit(2)
    except OSError as e:
        typer.echo(f"error: {e.filename or ''}: {e.strerror or e}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
