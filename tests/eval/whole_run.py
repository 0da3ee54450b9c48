"""A run with everything that a checklist can be answered from, on top of the fixture's run."""

import hashlib
import json
from pathlib import Path

import pandas as pd

from data_sharding.schema import CLASSES, FlowStep, Manifest, Role, Shard, sha256_file
from eval.evaluate import evaluate_run

CONFIG = """recipe: ospenscreen:smoke
seed: 3
model: {name: tiny, pretrained: none}
teacher: {epochs: 14, batch: 32, lr: 0.003, weight_decay: 0.05, augment: weak, select: last}
student: {epochs: 24, batch: 32, lr: 0.001, augment: strong, select: best, teachers: []}
pseudo: {enabled: true, p_normal: 0.99}
operating_point: youden
"""


def whole(run: Path) -> Path:
    """Add weights, configuration, packs with ledger and index, heat maps; then evaluate."""
    (run / "config.yaml").write_text(CONFIG)
    for model in ("teacher", "student"):
        weights = run / model / "weights"
        (weights / "model.safetensors").write_bytes(f"weights of the {model}".encode())
        sha256 = sha256_file(weights / "model.safetensors")
        for name, value in {
            "config": {"model": {"name": "tiny", "pretrained": "none"}, "sha256": sha256},
            "preprocessor": {"size": 128, "mean": 0.449, "std": 0.226},
            "calibration": {"temperature": 1.31, "n": 80},
        }.items():
            (weights / f"{name}.json").write_text(json.dumps(value))
    summary = {"n": 389, "counts": {"normal": 9, "low bone mass": 128, "dropped": 252}}
    (run / "pseudo" / "summary.json").write_text(json.dumps(summary))
    (run / "report" / "gradcam").mkdir(parents=True)
    panels = {"stamp": "x", "panels": [{"key": "a"}, {"key": "b"}]}
    (run / "report" / "gradcam" / "panels.json").write_text(json.dumps(panels))
    for name in ("asan-test", "asan-tune", "north-external"):
        path = run / "cohorts" / name / "predictions.parquet"
        pd.read_parquet(path).assign(vendor="Acme").to_parquet(path)
    pack(run, "asan", "internal")
    pack(run, "north", "external")
    pack(run, "nih", "public")
    evaluate_run(run)
    return run


def pack(
    run: Path, name: str, role: Role, splits: dict[str, str] | None = None, excluded: int = 20
) -> Manifest:
    """Write packs/NAME with its index and ledger, and name it in run.json."""
    folder = run / "packs" / name
    folder.mkdir(parents=True, exist_ok=True)
    splits = splits or {f"p{i:03d}": ("train", "tune", "test")[i % 3] for i in range(30)}
    index = [(patient.split("#")[0], split) for patient, split in splits.items()]
    pd.DataFrame(index, columns=["patient", "split"]).to_parquet(folder / "index.parquet")
    (folder / "ledger.csv").write_text("step,unit,item,patient,reason,evidence\n")
    labelled = role != "public"
    manifest = Manifest(
        name=name,
        role=role,
        policy="who/1" if labelled else "",
        classes=CLASSES if labelled else (),
        settings={"window_days": 180, "min_age": 50.0, "views": ["PA"], "pixels": "cxr/1"},
        image_shape=(512, 512),
        key_id=hashlib.sha256(name.encode()).hexdigest()[:8],
        shards=(Shard(path="a.tar", split="train", samples=30, bytes=1, sha256="0" * 64),),
        index_sha256=sha256_file(folder / "index.parquet"),
        ledger_sha256=sha256_file(folder / "ledger.csv"),
        flow=(
            FlowStep(
                step="patients of 50 years and older",
                unit="patient",
                n_in=100 + excluded,
                excluded={"under_age": excluded},
                n_out=100,
            ),
            FlowStep(
                step="radiographs to samples",
                unit="image",
                n_in=52,
                excluded={"not_selected": 15, "patient_excluded": 4, "lateral_view": 3},
                n_out=30,
            ),
        ),
    )
    manifest.save(folder)
    facts = json.loads((run / "run.json").read_text())
    entry = {"path": f"packs/{name}", "hash": manifest.hash, "role": role}
    facts["manifests"][name] = entry
    (run / "run.json").write_text(json.dumps(facts))
    return manifest
