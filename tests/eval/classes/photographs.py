"""A run on several photographs of each person, and the packed dataset that it learnt from."""

import json

import numpy as np
import pandas as pd

from data_sharding.schema import Manifest, Shard, sha256_file
from tests.eval.classes.cases import People, people, unified, write

CLASSES = ("normal", "osteopenia", "osteoporosis")


def bodies(who, seed, each=1):
    """Age, sex, height and weight that tell something of the latent; `each` rows a person."""
    rng = np.random.default_rng(seed)
    n = who.category.size
    sex = np.where(rng.random(n) < 0.6, "F", "M")
    age = (65 - 5 * who.latent + 6 * rng.normal(size=n)).clip(30, 95)
    height = np.where(sex == "F", 158.0, 171.0) + 6 * rng.normal(size=n)
    weight = (62 + 4 * who.latent + 9 * rng.normal(size=n)).clip(35, 150)
    facts = {"age": age, "sex": sex, "height_cm": height, "weight_kg": weight}
    return {name: np.repeat(values, each) for name, values in facts.items()}


def photographs(who, each):
    """The same people, `each` rows of every one."""
    return People(*(np.repeat(v, each) for v in (who.latent, who.category, who.p1, who.p2)))


def cohort(name, n, seed, each=1, noise=0.7, reader=3, **columns):
    """Predictions of a model that sees each of a person's photographs with noise of its own."""
    who = people(n, seed)
    facts = bodies(who, seed + 500, each)
    rows = unified(name, photographs(who, each), noise, reader, repeats=each, **facts)
    return rows.assign(**columns)


def packed(run, n=400, seed=40, patients=None, classes=CLASSES, policy="face2bone/1"):
    """Write packs/faces beside a run, with an index of `n` people, and name it in run.json."""
    who = people(n, seed)
    folder = run / "packs" / "faces"
    folder.mkdir(parents=True)
    names = patients or [f"learnt-p{i:05d}" for i in range(n)]
    index = pd.DataFrame(
        {
            "key": [f"k-{p}" for p in names],
            "patient": names,
            "split": np.where(np.arange(n) % 8, "train", "tune"),
            "label": pd.array(who.category, "Int64"),
            **bodies(who, seed + 500),
        }
    )
    index.to_parquet(folder / "index.parquet")
    manifest = Manifest(
        name="faces",
        role="internal",
        policy=policy,
        classes=classes,
        settings={"pixels": "face/1", "show_faces": False},
        image_shape=(512, 512, 3),
        key_id="ab12cd34",
        shards=(Shard(path="a.tar", split="train", samples=n, bytes=1, sha256="0" * 64),),
        index_sha256=sha256_file(folder / "index.parquet"),
        ledger_sha256="2" * 64,
        flow=(),
    )
    manifest.save(folder)
    facts = json.loads((run / "run.json").read_text())
    entry = {"path": "packs/faces", "role": "internal", "hash": manifest.hash}
    (run / "run.json").write_text(json.dumps(facts | {"manifests": {"faces": entry}}))
    return index


def face_run(root, name="face", each=3, n=220, pack=True, config="", noise=0.7, reader=3):
    """A run with a test and a tuning cohort."""
    cohorts = {
        "asan-test": cohort("asan-test", n, 11, each, noise, reader),
        "asan-tune": cohort("asan-tune", n // 2, 13, each, noise, reader + 10),
    }
    run = write(root / name, cohorts, "three classes", "face2bone:smoke", config)
    if pack:
        packed(run)
    return run
