"""Log an evaluation to W&B: offline in place of what was there, online what is new.

Tables and pictures are written beside the log and not as artifacts: those would write this
machine's paths into it.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import cv2
import numpy as np

from eval.dashboards.told import Told, columns
from training.tracking.identity import Identity, Mode, save_state, state
from training.tracking.records import Recorded
from training.tracking.wandb_run import WandbRun, kept, remove

#: The name of this way of telling: what was told in another is told again.
FORMAT = "evaluation/1"


def log(identity: Identity, told: Told, mode: Mode) -> str:
    """Make W&B have all of `told`; what was done, in words. Again, it does nothing.

    Raises:
        Exception: whatever the library or the network comes up with.
    """
    digest = digest_of(identity, told)
    known = state(identity.folder)
    done = _object(known.get(identity.stage))
    before = _object(done.get(mode))
    size = f"{len(told.numbers)} numbers, {len(told.tables)} tables, {_count(told)} pictures"
    if before.get("sha256") == digest:
        if mode == "online":
            return f"nothing new, W&B has all of {identity.name}"
        names = [p.name for p in kept(identity)]
        if before.get("folder") in names:
            return f"nothing new, wandb/{before['folder']} has it"
    if mode == "offline":
        remove(identity)
    run = WandbRun(identity, mode)
    run.run.log(_payload(run.run, told, run.last + 1), step=run.last + 1)
    folder = run.finish(Recorded())
    record: dict[str, Any] = {"sha256": digest, "pictures": sorted(told.pictures)}
    record |= {"folder": folder.name} if mode == "offline" else {}
    fresh = state(identity.folder)  # training may have written there meanwhile
    save_state(identity.folder, fresh | {identity.stage: done | {mode: record}})
    return f"{size} {'sent' if mode == 'online' else f'in wandb/{folder.name}'}"


def logged_pictures(identity: Identity) -> list[str] | None:
    """Keys of the pictures that were logged, offline or online; None if nothing was logged yet."""
    done = _object(state(identity.folder).get(identity.stage))
    records = [_object(record) for record in done.values()]
    keys = [k for r in records if isinstance(r.get("pictures"), list) for k in r["pictures"]]
    return sorted({str(k) for k in keys}) if records else None


def digest_of(identity: Identity, told: Told) -> str:
    """SHA-256 of all that is logged, and of what it is logged as."""
    pictures = {
        key: [(hashlib.sha256(png).hexdigest(), said) for png, said in of_key]
        for key, of_key in told.pictures.items()
    }
    who = [identity.id, identity.project, identity.group, identity.config]
    whole = [FORMAT, who, told.numbers, told.tables, pictures]
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def _payload(run: Any, told: Told, step: int) -> dict[str, Any]:
    import wandb

    payload: dict[str, Any] = dict(sorted(told.numbers.items()))
    for key, rows in sorted(told.tables.items()):
        table = wandb.Table(columns=list(columns(key)), data=[list(r) for r in rows])
        table.bind_to_run(run, key, step)  # now it is a file, and no artifact is made of it
        payload[key] = table
    for key, of_key in sorted(told.pictures.items()):
        payload[key] = [wandb.Image(_pixels(png), caption=said) for png, said in of_key]
    return payload


def _pixels(png: bytes) -> np.ndarray:
    """RGB [H, W, 3]: pixels alone, whatever else a file may hold."""
    pixels = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None, "a panel is a PNG"
    return pixels[..., ::-1]


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(told: Told) -> int:
    return sum(map(len, told.pictures.values()))
