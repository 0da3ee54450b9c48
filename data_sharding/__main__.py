"""The command line: ``python -m data_sharding VERB``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from data_sharding import look
from data_sharding.ledger import Leaked, NothingUsable

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
app.add_typer(look.app)
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
    pixels: Annotated[
        str,
        typer.Option(
            help="cxr/2: 8 bits, truncated; cxr16/1: 16 bits, as shown [cxr/2]. Of "
            "photographs face/1: the aligned face; photo/1: whole [face/1]."
        ),
    ] = "",
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
    against: Annotated[
        list[str] | None, typer.Option(help="A dataset to be used with this; refuse leaks.")
    ] = None,
    splits_of: Annotated[
        str, typer.Option(help="A dataset of the same people, whose split they keep.")
    ] = "",
    allow_leaks: Annotated[
        bool, typer.Option("--allow-leaks", help="Record leaks; the report shows them in red.")
    ] = False,
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
    A DXA-paired site:  SITE/dicom/**, SITE/dxa.csv, clinical.csv and fractures.csv (optional)
    A face study:       SITE/photos/**, photos.csv and consent.json (optional), and the same tables
    NIH ChestX-ray14:   DIR/images/*.png, DIR/Data_Entry*.csv (.gz too, both editions)
    CheXpert:           DIR/train.csv, DIR/valid.csv, DIR/train/patient00001/...
    `python -m data_sharding columns` says what is in each table.

    \b
    python -m data_sharding pack data/asan shards/asan
    python -m data_sharding pack data/north shards/north --role external --window-days 90

    What does not go through is in OUT/ledger.csv with a reason. Killed, it goes on where it was.
    Exit code 4: nothing usable, or a leak (the same patient or picture on two sides of a split).
    """
    from data_sharding.pack import pack as run

    run(
        site,
        out,
        role=_role(role),
        name=name or None,
        kind=kind,  # pyright: ignore[reportArgumentType]  (checked there)
        size=size,
        pixels=pixels,
        window_days=window_days,
        min_age=min_age,
        study=study or None,  # pyright: ignore[reportArgumentType]  (checked there)
        seed=seed,
        views=view or (),
        assume_view=assume_view,
        label_policy=policy,
        screen=screen,
        against=against or (),
        splits_of=splits_of or None,
        allow_leaks=allow_leaks,
        shard_samples=shard_samples,
        workers=workers or None,
        on_ray=on_ray,
        key_file=key_file,
        fresh=fresh,
        show_paths=show_paths,
        echo=typer.echo,
    )


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
    south: Annotated[int, typer.Option(help="Patients of a second external site.")] = 0,
    osteoporosis: Annotated[
        float, typer.Option(help="Share with T <= -2.5 at the internal site [0: 6%].")
    ] = 0.0,
    faces: Annotated[int, typer.Option(help="Patients of a face study.")] = 0,
    photos_each: Annotated[int, typer.Option(help="Photographs of each of them.")] = 2,
    face_weights: Annotated[
        str, typer.Option(help="region=weight,...: what tells of bone [nasolabial: 0.9 of it].")
    ] = "",
    face_confounding: Annotated[
        float, typer.Option(help="0 to 1: how far age and BMI show in a face.")
    ] = 0.5,
    size: Annotated[int, typer.Option(help="Side of the pictures, pixels.")] = 512,
    confounder: Annotated[float, typer.Option(help="0 none to 1: a shortcut to fall for.")] = 0.0,
    workers: Annotated[int, typer.Option(help="Processes [one per core].")] = 0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Replace the world in OUT.")] = False,
) -> None:
    """Make a synthetic world of sites to pack: known bone density, nobody's data.

    \b
    python -m data_sharding phantom data/phantom --internal 60 --external 20 --public 40
    python -m data_sharding phantom data/li --south 300 --public 0 --osteoporosis 0.33
    python -m data_sharding phantom data/faces --faces 200 --internal 0 --external 0 --public 0 \
        --osteoporosis 0.33
    """
    from data_sharding.packing.pool import progress
    from data_sharding.phantom.world import make_world

    show = progress("patients", internal + external + south + public + faces, typer.echo)
    world = make_world(
        out,
        seed=seed,
        internal=internal,
        external=external,
        public=public,
        size=size,
        confounder=confounder,
        south=south,
        osteoporosis=osteoporosis,
        faces=faces,
        photos_each=photos_each,
        face_weights=face_weights,
        face_confounding=face_confounding,
        workers=workers or None,
        fresh=fresh,
        progress=lambda done, total: show(),
    )
    pictures = ", ".join(f"{site} {n}" for site, n in world["images"].items())
    typer.echo(f"{out}: radiographs of {pictures}")
    if faces:
        made = sum(world["faces"]["photographs"].values())
        typer.echo(f"{out / 'faces'}: {made} photographs of {faces} people")


def _role(text: str) -> Any:
    if text and text not in ("internal", "external", "public"):
        raise ValueError(f"role {text!r}: internal, external or public")
    return text or None


def main(arguments: list[str] | None = None) -> None:
    """Run and exit: 0, 2 for a mistake of the user, 4 for nothing usable or a leak."""
    try:
        app(arguments)
    except (NothingUsable, Leaked) as e:
        typer.echo(f"{e}", err=True)
        sys.exit(4)
    except ValueError as e:
        typer.echo(f"error: {e}", err=True)
        sys.exit(2)
    except (OSError, RuntimeError) as e:  # no path: it may name a patient
        said = e.strerror if isinstance(e, OSError) and e.strerror else str(e)
        typer.echo(f"error: {said}. What was done is kept: run it again to go on.", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
