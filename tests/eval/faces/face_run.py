"""A small study of painted faces on MediaPipe's canonical mesh, packed, and a run that learnt them.

Of five painted regions `SIGNAL` carries the class; every other colour is of nothing.
"""

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from data_sharding.extras import Extra
from data_sharding.faces.canonical import canonical
from data_sharding.faces.regions import REGIONS, region_map
from data_sharding.packing.shards import ShardWriter, write_index
from data_sharding.reader import ShardDataset
from data_sharding.schema import Manifest, Sample, canonical_json, sha256_file
from training.checkpoint import save_weights
from training.config import Model
from training.models import build
from training.preprocess import Preprocessor

SIZE, SIGNAL = 40, "nasolabial"
CLASSES = ("normal", "osteopenia", "osteoporosis")
EXTRAS = (
    Extra(name="crop", shape=(20, 20, 3), dtype="uint8"),
    Extra(name="landmarks", shape=(468, 3), dtype="float32"),
)


def face(rng, label, signal=SIGNAL):
    """Picture uint8 [SIZE, SIZE, 3] and its points float32 [468, 3]."""
    points = canonical() * (1, -1, 1) * SIZE / 19 * rng.uniform(0.95, 1.05)
    points += np.array([SIZE / 2, SIZE / 2, 0]) + rng.normal(0, 0.7, 3)
    points = points.astype(np.float32)
    colours = rng.uniform(70, 190, (6, 3))
    colours[0] = 0
    level = 60 + 70 * label
    colours[REGIONS.index(signal) + 1] = [level, 128, 260 - level]
    of = region_map(points, SIZE)
    picture = colours[of] + rng.normal(0, 8, (SIZE, SIZE, 3)) * (of > 0)[..., None]
    return picture.clip(0, 255).astype(np.uint8), points


def sample(key, patient, split, label, sex, pixels):
    nothing = dict.fromkeys(
        ("severity", "lowest_t", "lowest_t_site", "days_to_dxa", "height_cm", "weight_kg")
    )
    return Sample(
        key=key, patient=patient, source="clinic", split=split, view="", age=60.0, sex=sex,
        label=label, policy="face2bone/1", applied=(),
        pixels_sha256=pixels, **nothing,
    )  # fmt: skip


def pack_faces(folder, counts, seed=0, show=True, twice=6):
    """`counts`: split -> patients. The first `twice` patients of a split have two photographs."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    with ShardWriter(folder, 1000) as writer:
        for split, count in counts.items():
            labels = rng.integers(3, size=count)
            for n, label in enumerate(labels.tolist()):
                for photo in range(2 if n < twice else 1):
                    picture, points = face(rng, label)
                    key = f"{rng.integers(2**60):016x}"
                    sex = "M" if n % 3 == 0 else "F"
                    facts = sample(key, f"{split}{n:04d}", split, label, sex, f"{photo:064d}")
                    extras = {"crop": picture[10:30, 10:30], "landmarks": points}
                    writer.add(facts, picture, extras)
    (folder / "ledger.csv").write_text("")
    Manifest(
        name="clinic", role="internal", policy="face2bone/1", classes=CLASSES,
        settings={"pixels": "face/1"} | ({"show_faces": True} if show else {}),
        image_shape=(SIZE, SIZE, 3), key_id="0" * 16, shards=tuple(writer.shards),
        index_sha256=write_index(folder, writer.rows),
        ledger_sha256=sha256_file(folder / "ledger.csv"),
        flow=(), extras=EXTRAS,
    ).save(folder)  # fmt: skip
    return folder


def learn(data, preprocessor, config, epochs=7, seed=0):
    """A network of `config` that has learnt the labels of a dataset."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build(config)
        x = preprocessor(np.stack([data.image(i) for i in range(len(data))]))
        y = torch.as_tensor(data.index["label"].to_numpy(np.int64))
        optimiser = torch.optim.Adam(model.parameters(), 3e-3)
        for _ in range(epochs):
            for rows in torch.randperm(len(x)).split(32):
                optimiser.zero_grad()
                cross_entropy(model(x[rows]), y[rows]).backward()
                optimiser.step()
    return model.eval()


def face_run(root, show=True, counts=None, epochs=7):
    """A run as training leaves it; returns its folder."""
    pack = pack_faces(root / "pack", counts or {"train": 240, "tune": 20, "test": 60}, show=show)
    config = Model(name="test_resnet", pretrained="none", channels=3, classes=3)
    see = Preprocessor(size=SIZE, mean=(0.4,) * 3, std=(0.3,) * 3, pixels="face/1",
                       shape=(SIZE, SIZE, 3))  # fmt: skip
    model = learn(ShardDataset(pack, "train"), see, config, epochs)
    run = root / "run"
    for split in ("tune", "test"):
        data = ShardDataset(pack, split)
        with torch.no_grad():
            p = model(see(np.stack([data.image(i) for i in range(len(data))]))).softmax(1).numpy()
        frame = data.index[["key", "patient", "age", "sex"]].assign(
            model="image", cohort=f"clinic-{split}", category=data.index["label"],
            label=data.index["label"].clip(upper=1), probability=1 - p[:, 0], p_normal=p[:, 0],
            p_low_bone_mass=p[:, 1], p_osteoporosis=p[:, 2], threshold=0.5,
        )  # fmt: skip
        frame["probability"] = frame["probability"].clip(0, 1)
        (run / "cohorts" / f"clinic-{split}").mkdir(parents=True)
        frame.to_parquet(run / "cohorts" / f"clinic-{split}" / "predictions.parquet")
    save_weights(run / "image" / "weights", model, config, see, {}, {})
    named = {"clinic": {"path": str(pack), "role": "internal"}}
    facts = {"run_id": "painted", "manifests": named, "target": "three classes"}
    (run / "run.json").write_text(canonical_json(facts))
    return run
