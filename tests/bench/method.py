"""Do proxy labels and distillation help on a site the training never saw? As it comes out.

    make bench-method            # 5 seeds, half an hour on 2 cores
    python -m tests.bench.method --seeds 5

Three students share one teacher in each seed: labels only; with proxy labels; with proxy labels and
distillation. A seed changes initial weights, order and augmentation; the phantom world and its
splits stay. Student epochs are passes over the labelled set in every arm.
"""

from __future__ import annotations

import argparse
import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

ARMS = {
    "labels only": ("pseudo.enabled=false", "student.alpha=0"),
    "+ proxy labels": ("student.alpha=0",),
    "+ proxy labels + distillation": (),
}


def run_seed(seed: int, home: Path, changes: list[str]) -> pd.DataFrame:
    """All arms of one seed -> rows (seed, arm, cohort, auroc)."""
    import torch
    from sklearn.metrics import roc_auc_score

    from training.launch import complete, launch, prepare
    from training.overrides import override
    from training.recipes import recipe

    torch.set_num_threads(1)
    rows, first = [], None
    for arm, settings in ARMS.items():
        config = override(
            recipe("ospenscreen:smoke"),
            [
                *(f"paths.internal={home}/shards/asan", f"paths.public={home}/shards/public"),
                *(f"paths.external=[{home}/shards/north]", f"paths.runs={home}/bench-method"),
                *(f"seed={seed}", "compute.launcher=local", "track.wandb=disabled"),
                *settings,
                *changes,
            ],
        )
        folder = prepare(config)
        if first and not (folder / "teacher").exists():
            shutil.copytree(first / "teacher", folder / "teacher")
        first = first or folder
        if not complete(folder):
            launch(config, folder)
        for path in sorted(folder.glob("cohorts/*/predictions.parquet")):
            frame = pd.read_parquet(path)
            for model, part in frame.groupby("model"):
                name = "teacher" if model == "teacher" else arm
                score = roc_auc_score(part["label"].astype(int), part["logit"])
                rows.append((seed, name, path.parent.name, score))
    return pd.DataFrame(rows, columns=["seed", "arm", "cohort", "auroc"]).drop_duplicates()


def table(results: pd.DataFrame) -> str:
    """Mean and SD over seeds, and the paired difference to labels only with a 95% t interval."""
    lines = [
        "| cohort | student | AUROC, mean ± SD | minus labels only (95% CI) |",
        "|---|---|---|---|",
    ]
    for cohort, part in results.groupby("cohort"):
        wide = part.pivot(index="seed", columns="arm", values="auroc")
        for arm in ("teacher", *ARMS):
            x = wide[arm]
            difference = (x - wide["labels only"]).to_numpy()
            said = ""
            if arm not in ("teacher", "labels only") and len(x) > 1:
                half = stats.t.ppf(0.975, len(x) - 1) * stats.sem(difference)
                mean = difference.mean()
                said = f"{mean:+.3f} ({mean - half:+.3f} to {mean + half:+.3f})"
            lines.append(
                f"| {cohort} | {arm} | {x.mean():.3f} ± {np.std(x, ddof=1):.3f} | {said} |"
            )
    return "\n".join(lines)


def main() -> None:
    """Run, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, default=Path("demo"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("changes", nargs="*", help="overrides such as student.epochs=5")
    a = parser.parse_args()
    with ProcessPoolExecutor(a.jobs, mp_context=get_context("spawn")) as pool:
        done = [pool.submit(run_seed, s, a.home.absolute(), a.changes) for s in range(a.seeds)]
        results = pd.concat([d.result() for d in done], ignore_index=True)
    results.to_csv(a.home / "bench-method" / "results.csv", index=False)
    print(table(results))


if __name__ == "__main__":
    main()
