"""Ablations and baselines of Face2Bone, one after the other: the runs of one table.

    python -m training variants face2bone:smoke
    python -m training variants face2bone model.face.facenet=none --only Face2Bone,-KAN,VGG16

Each variant is a run of the recipe with a few settings changed, and resumes by itself as any run
does; one that fails is named, and the others go on. ``variants.json`` among the runs says which
run is whose, and the command that makes a table of them is printed last:

    python -m eval variants RUNS/variants.json --out DIR
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from data_sharding.schema import write_atomic
from training.config import Config
from training.face import FACE2BONE
from training.interrupt import EXIT_CODE, Interrupted
from training.overrides import override
from training.recipes import recipe
from training.tracking import say

#: What is changed of the recipe, by the names that the paper's tables have.
ABLATIONS: dict[str, tuple[str, ...]] = {
    "Face2Bone": (),
    "-FSA": ("model.face.fsa=false",),
    "-SSAM": ("model.face.ssam=none", "model.face.facenet=none"),
    "-KAN (linear)": ("model.face.head=linear",),
    "-KAN (MLP)": ("model.face.head=mlp",),
}
#: timm's names; the paper does not say which ViT, nor whether any was pre-trained.
BASELINES: dict[str, str] = {
    "VGG16": "vgg16.tv_in1k",
    "VGG19": "vgg19.tv_in1k",
    "ResNet18": "resnet18.tv_in1k",
    "ResNet34": "resnet34.tv_in1k",
    "ViT": "vit_base_patch16_224.augreg_in1k",
}
#: In a ``:smoke`` recipe, where nothing is pre-trained, the smallest of its kind.
SMALLEST = {"ViT": "vit_tiny_patch16_224"}
#: The file that says which run is whose.
LIST = "variants.json"
NAMES = (*ABLATIONS, *BASELINES)
app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


def variant(name: str, of: str, changes: list[str]) -> Config:
    """The configuration of one variant.

    Args:
        name: one of `NAMES`.
        of: a recipe of Face2Bone.
        changes: settings of all variants; those of ``model.face`` do not concern baselines.

    Raises:
        ValueError: no such variant, another recipe, or settings that are refused.
    """
    base = recipe(of)
    if base.model.name != FACE2BONE:
        raise ValueError(f"{of}: variants are of Face2Bone: take face2bone or face2bone:smoke")
    if name in ABLATIONS:
        off = "facenet=none" in " ".join(ABLATIONS[name])  # and its hash goes with it
        kept = [c for c in changes if not (off and c.startswith("model.face.facenet"))]
        return override(base, [*kept, *ABLATIONS[name]])
    if name not in BASELINES:
        raise ValueError(f"{name}: no such variant; there are {', '.join(NAMES)}")
    small = of.endswith(":smoke")
    network = SMALLEST.get(name, BASELINES[name]) if small else BASELINES[name]
    mine = [f"model.name={network}", "model.face=null", f"model.pretrained={_start(small)}"]
    return override(base, [*mine, *(c for c in changes if not c.startswith("model.face."))])


def _start(small: bool) -> str:
    return "none" if small else "tag"


@app.command(help=(__doc__ or "").replace("\n\n    ", "\n\n\b\n    "))
def variants(
    of: Annotated[str, typer.Argument(metavar="RECIPE", help="face2bone or face2bone:smoke")],
    changes: Annotated[
        list[str] | None, typer.Argument(metavar="SECTION.KEY=VALUE", help="of all of them")
    ] = None,
    only: Annotated[
        str, typer.Option(metavar="NAME,...", help=f"of {', '.join(NAMES)}; the first is compared")
    ] = "",
    fresh: Annotated[bool, typer.Option("--fresh", help="start over instead of resuming")] = False,
) -> None:
    """See the module."""
    from training.launch import start

    wanted = [n.strip() for n in only.split(",")] if only else list(NAMES)
    try:
        configs = {n: variant(n, of, changes or []) for n in wanted}
    except ValueError as e:
        typer.echo(f"error: {e}", err=True)
        raise typer.Exit(2) from e
    done: dict[str, Path] = {}
    failed: dict[str, str] = {}
    for n, config in configs.items():
        say(f"variant {n}: {len(done) + len(failed) + 1} of {len(configs)}")
        try:
            done[n] = start(config, fresh)[0]
        except Interrupted as e:
            typer.echo(f"interrupted: {e}; the same command goes on", err=True)
            raise typer.Exit(EXIT_CODE) from e
        except Exception as e:  # the others are worth having
            failed[n] = " ".join(str(e).split())[:300]
            typer.echo(f"error: {n}: {failed[n]}", err=True)
    if done:
        listed = configs[wanted[0]].paths.runs / LIST
        runs = {n: folder.name for n, folder in done.items()}
        write_atomic(listed, json.dumps({"recipe": of, "runs": runs}, indent=1) + "\n")
        typer.echo(f"python -m eval variants {shlex.quote(str(listed))} --out ...")
    if failed:
        typer.echo(f"{len(failed)} of {len(configs)} failed: {', '.join(failed)}", err=True)
        raise typer.Exit(1)
