"""What a model looks at: pictures for the report, and attention measured where anatomy is known.

::

    panels(run)                          RUN/report/gradcam/*.png    chosen by rule (see `chosen`)
    attention_of(run, world.json)        RUN/report/attention.json   shares, controls, sanity checks
    quality_of(run)                      RUN/report/quality.json     cohorts without labels

The first two are made again only if the weights or the choice changed.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from numpy.typing import NDArray

from data_sharding.schema import canonical_json, sha256_file, write_atomic
from eval.frames import Frame
from eval.pictures.chosen import Chosen, choose, judged, measured
from eval.pictures.explained import UNKNOWN, Explained, Looked
from eval.pictures.eyes import Eyes
from eval.pictures.measure import MEASURED, looked
from eval.pictures.overlay import OVERLAY, panel_png
from eval.pictures.panel import Panel, keep_panels, kept_panels
from eval.pictures.quality import Qualities, Quality, quality
from eval.runs import MODELS, Run

if TYPE_CHECKING:
    from data_sharding.phantom.atlas import Atlas
    from data_sharding.reader import ShardDataset

#: The name of this way of looking: what was measured in another is measured again.
MAPS = "maps/2"
#: Networks of random weights that shares are held against; pictures of the sanity check.
NETWORKS, CHECKED = 3, 24


def panels(run: Path, model: str | None = None, per_group: int = 4) -> list[Panel]:
    """Make, keep under RUN/report/gradcam/, and return the pictures, groups one after the other.

    Args:
        run: the run folder.
        model: whose eyes; by default the student's, or else the teacher's.
        per_group: pictures of each group.

    Raises:
        ValueError: weights, packs or predictions are missing or unreadable.
        ImportError: training or data_sharding cannot be imported here.
    """
    eyes = Eyes.of(run, model)
    chosen = choose(eyes.run, eyes.name, per_group)
    folder = run / "report" / "gradcam"
    stamp = canonical_json(
        [OVERLAY, sha256_file(eyes.weights / "model.safetensors"), eyes.name]
        + [vars(c) for c in chosen]
    )
    if kept := kept_panels(folder, stamp):
        return kept
    made = _draw(eyes, chosen)
    keep_panels(folder, stamp, made)
    return made


def _draw(eyes: Eyes, chosen: list[Chosen]) -> list[Panel]:
    from data_sharding.pictures.shown import shown

    learnt, made = eyes.run.learnt, []
    for number, choice in enumerate(chosen):
        if choice.key not in eyes.places:
            continue
        pack, row = eyes.places[choice.key]
        pixels = pack.image(row)
        seen = eyes.maps(eyes.loaded[0], [pixels], [choice.target])
        caption = choice.caption if seen.positive[0] else f"{choice.caption}; no positive evidence"
        png = panel_png(shown(pixels), seen.cam[0], None if seen.tiles is None else seen.tiles[0])
        name = learnt.of_answer(choice.target)
        file, tiles = f"{number:02d}.png", seen.tiles is not None
        made.append(Panel(choice.where, choice.group, name, caption, file, png, tiles))
    return made


def attention_of(
    run: Path, world: Path | None = None, model: str | None = None, per_answer: int = 24
) -> Explained:
    """Where attention lies, and whether maps depend on the weights; kept in RUN/report.

    Shares need the anatomy, which is known of a phantom only; without it they are undefined. What
    was kept is returned where weights and predictions have not changed and no other world is given.

    Args:
        run: the run folder.
        world: the folder of the synthetic world of the cohorts, or its world.json.
        model: as of `panels`.
        per_answer: pictures of each cohort and answer of the model; at most.

    Raises:
        ValueError: as `panels`; `world` is no file. A world that does not know the pictures leaves
            the shares undefined.
        ImportError: as `panels`.
    """
    eyes = Eyes.of(run, model)
    rows = {c: measured(eyes.run, c, eyes.name, per_answer) for c in judged(eyes.run)}
    told = [MAPS, sha256_file(eyes.weights / "model.safetensors"), eyes.name, NETWORKS, CHECKED]
    drawn = {c: [f["key"].tolist(), f["answer"].tolist()] for c, f in rows.items()}
    stamp = hashlib.sha256(canonical_json([told, drawn]).encode()).hexdigest()
    settings = None if world is None else world if world.suffix == ".json" else world / "world.json"
    if settings is not None and not settings.is_file():
        raise ValueError(f"{settings}: no such file; give the world.json of the synthetic world")
    known = None if settings is None else sha256_file(settings)
    path = run / "report" / "attention.json"
    if (kept := kept_attention(path, stamp)) and known in (None, kept.world_sha256):
        return kept
    found = _explained(eyes, rows, settings, stamp, known)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(found.model_dump(mode="json"), indent=1) + "\n")
    return found


def kept_attention(path: Path, stamp: str | None = None) -> Explained | None:
    """attention.json, if it is there, whole, and of that stamp."""
    try:
        found = Explained.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if stamp in (None, found.stamp) else None


def _explained(
    eyes: Eyes, rows: dict[str, Frame], world: Path | None, stamp: str, known: str | None
) -> Explained:
    from eval.pictures.sanity import randomised, sanity

    model = eyes.loaded[0]
    networks = [randomised(model, seed) for seed in range(NETWORKS)]
    tables: list[Looked] = []
    strange: dict[str, list[str]] = {}  # why -> cohorts
    checked = None
    for cohort, wanted in rows.items():
        frame = wanted[wanted["key"].isin(list(eyes.places))]
        if frame.empty:
            continue
        here = [eyes.places[key] for key in frame["key"]]
        pictures = [pack.image(row) for pack, row in here]
        targets = frame["answer"].tolist()
        own, *controls = (
            eyes.maps(network, pictures, targets, MEASURED).cam for network in (model, *networks)
        )
        try:
            regions = _regions(here, frame["key"].tolist(), world, own.shape[1])
        except ValueError as e:
            strange.setdefault(str(e), []).append(cohort)
        else:
            tables += looked(cohort, frame, own, controls, regions, eyes.run.learnt)
        if checked is None:
            some = slice(None, None, -(-len(own) // CHECKED))
            checked = sanity(
                model,
                lambda m, p=pictures[some], t=targets[some]: eyes.maps(m, p, t, MEASURED).cam,
                own[some],
                [c[some] for c in controls],
                frame["patient"].to_numpy()[some],
            )
    if checked is None:
        raise ValueError(f"{eyes.run.folder / 'run.json'}: no pack has a picture of the cohorts")
    return Explained(
        stamp=stamp,
        world_sha256=known,
        model=eyes.name,
        method=eyes.method,
        looked=tuple(tables),
        undefined="; ".join(f"{why} ({', '.join(c)})" for why, c in strange.items()) or None,
        sanity=checked,
    )


def _regions(
    places: list[tuple[ShardDataset, int]], keys: list[str], world: Path | None, size: int
) -> list[dict[str, NDArray]]:
    """The regions of each picture at the maps' size.

    Raises:
        ValueError: there is no world, it does not know a picture, or it draws it otherwise.
    """
    if world is None:
        raise ValueError(UNKNOWN)
    from data_sharding.phantom.atlas import Atlas

    atlases: dict[Path, Atlas] = {}
    found = []
    for (pack, row), key in zip(places, keys, strict=True):
        atlas = atlases.get(pack.folder) or Atlas(world, pack.folder)
        if key not in atlas:
            raise ValueError(f"{UNKNOWN}: they are not of this world")
        if pack.folder not in atlases:
            atlas.check(key, pack.image(row))
            atlases[pack.folder] = atlas
        found.append(atlas.shares(key, size))
    return found


def quality_of(run: Path) -> tuple[Quality, ...]:
    """What the packed datasets say of the pictures of cohorts without any label; () without such.

    Of each cohort the student's answers are told, or else whichever model's there are.

    Raises:
        ValueError: a dataset cannot be read, or is not the one that was predicted.
        ImportError: data_sharding cannot be imported here.
    """
    from data_sharding.reader import ShardDataset

    at, found = Run.at(run), []
    packs = [ShardDataset(p.folder) for p in at.packs if p.manifest is not None]
    for cohort in judged(at):
        frame = at.predictions(cohort)
        if frame.empty or frame["label"].notna().any():
            continue
        names = list(frame["model"].unique())
        leading = next((m for m in ("student", *MODELS) if m in names), names[0])
        frame = frame[frame["model"] == leading].reset_index(drop=True)
        for pack in packs:
            row_of = {key: row for row, key in enumerate(pack.index["key"])}
            if not set(frame["key"]) <= set(row_of):
                continue
            rows = [row_of[key] for key in frame["key"]]
            view = pack.index["view"].iloc[rows].tolist()
            applied = [pack.sample(row).applied for row in rows]
            found.append(quality(frame, view, applied, pack.manifest))
            break
        else:
            raise ValueError(f"{cohort}: no readable packed dataset has all of its pictures")
    if found:
        text = json.dumps(Qualities(cohorts=tuple(found)).model_dump(mode="json"), indent=1)
        (run / "report").mkdir(exist_ok=True)
        write_atomic(run / "report" / "quality.json", text + "\n")
    return tuple(found)
