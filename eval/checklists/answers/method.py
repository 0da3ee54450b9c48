"""Of the method: model, training, threshold, software. Proof: config.yaml, run.json, weights/."""

from __future__ import annotations

from eval.checklists.answers.words import count, joined, number, stated
from eval.checklists.evidence import Evidence, Missing

STAGE = ("epochs", "batch", "lr", "weight_decay", "warmup_epochs", "augment")


def model(e: Evidence) -> str:
    """Architecture, input and output of each model."""
    parts = []
    for name in e.models():
        architecture = stated("config.json", e.weights(name, "config.json"), "model", "name")
        size = stated("preprocessor.json", e.weights(name, "preprocessor.json"), "size")
        sha256 = e.hashed_weights(name)
        parts.append(f"{name}: {architecture}, input {size}x{size}, weights SHA-256 {sha256[:16]}")
    outputs = {_output(e, name): None for name in e.models()}
    return joined([*parts, *outputs])


def _output(e: Evidence, name: str) -> str:
    """What a model's number is of; a survival model has a baseline hazard beside its weights."""
    if (e.run.folder / name / "weights" / "survival.json").is_file():
        days = number(stated("survival.json", e.weights(name, "survival.json"), "horizon_days"))
        return f"Output of the {name} model: the risk of a first fracture within {days} days"
    return f"Output: the probability of {e.learnt.positive!r} against {e.learnt.negative!r}"


def software(e: Evidence) -> str:
    """Versions that the run recorded."""
    versions = stated("run.json", e.facts(), "versions")
    if not isinstance(versions, dict) or not versions:
        raise Missing("run.json: states no versions")
    return joined([", ".join(f"{k} {v}" for k, v in sorted(versions.items()))])


def initialisation(e: Evidence) -> str:
    """Random or from weights, and the seed."""
    parts = []
    for name in e.models():
        start = stated("config.json", e.weights(name, "config.json"), "model", "pretrained")
        random = start in (None, "none")
        parts.append(f"{name}: {'random' if random else f'pretrained weights ({start})'}")
    return joined([*parts, f"Seed {number(stated('config.yaml', e.config(), 'seed'))}"])


def training(e: Evidence) -> str:
    """The settings of each stage, and the proxy labels that were learnt from."""
    config = e.config()
    parts = []
    for name in e.models():
        stage = stated("config.yaml", config, name)
        settings = [f"{k.replace('_', ' ')} {number(stage[k])}" for k in STAGE if k in stage]
        parts.append(f"{name}: {', '.join(settings)}")
    if isinstance(config.get("pseudo"), dict) and config["pseudo"].get("enabled"):
        summary = e.proxies()
        counts = stated("pseudo/summary.json", summary, "counts")
        kept = ", ".join(f"{k} {number(v)}" for k, v in counts.items())
        total = number(stated("pseudo/summary.json", summary, "n"))
        parts.append(f"Proxy labels by the teacher for {total} public pictures: {kept}")
    return joined(parts)


def chosen(e: Evidence) -> str:
    """Which epoch was kept."""
    config = e.config()
    kept = {"last": "the last epoch", "best": "the epoch best on the tuning split"}
    parts = []
    for name in e.models():
        rule = str(stated("config.yaml", config, name, "select"))
        parts.append(f"{name}: {kept.get(rule, rule)} was kept")
    return joined(parts)


def building(e: Evidence) -> str:
    """Architecture, training and choice in a row."""
    return joined([model(e), training(e), chosen(e)])


def ensemble(e: Evidence) -> str:
    """Teachers besides the run's own; predictions are of one network each."""
    config = e.config()
    others = stated("config.yaml", config, "student").get("teachers") or []
    if "student" not in e.models():
        raise Missing("student/weights: not there")
    network = stated("config.json", e.weights("student", "config.json"), "model", "name")
    taught = f"by {1 + len(others)} teachers, averaged" if others else "by one teacher"
    return f"Each prediction is of one network; the student ({network}) was taught {taught}."


def updating(e: Evidence) -> str:
    """Temperature scaling of each model."""
    parts = []
    for name in e.models():
        c = e.weights(name, "calibration.json")
        if "temperature" not in c and isinstance(c.get("reason"), str):
            parts.append(f"{name}: no temperature: {c['reason']}")
            continue
        temperature = number(stated("calibration.json", c, "temperature"))
        on = f" fitted on {count(int(c['n']), 'picture')} of the tuning split" if "n" in c else ""
        parts.append(f"{name}: logits divided by a temperature of {temperature}{on}")
    return joined(parts)


def output(e: Evidence) -> str:
    """Threshold, the rule that found it and where."""
    parts = []
    for name in e.models():
        p = e.weights(name, "operating_point.json")
        if p.get("threshold") is None and isinstance(p.get("reason"), str):
            parts.append(f"{name}: no threshold: {p['reason']}")
            continue
        threshold, rule, split = (
            number(stated("operating_point.json", p, k)) for k in ("threshold", "rule", "split")
        )
        at = f"a probability of {e.learnt.positive} of {threshold} or more"
        parts.append(f"{name}: flagged at {at} ({rule}, {split})")
    return joined(parts)


def cutoff(e: Evidence) -> str:
    """Threshold as frozen, and whether every cohort was judged with it."""
    said, other = output(e), []
    frozen = {n: e.weights(n, "operating_point.json")["threshold"] for n in e.models()}
    frozen = {n: threshold for n, threshold in frozen.items() if threshold is not None}
    if not frozen:
        return said
    metrics = e.metrics()
    for m in metrics:
        for x in m.models:
            if x.model in frozen and (
                x.threshold is None or abs(x.threshold - float(frozen[x.model])) > 1e-9
            ):
                other.append(f"{m.cohort}, {x.model}")
    if other:
        return joined([said, f"Judged at another threshold: {'; '.join(other)}"])
    return joined([said, f"The same in the predictions of {count(len(metrics), 'cohort')}"])


def calculated(e: Evidence) -> str:
    """Picture, network, temperature, threshold."""
    return joined([model(e), updating(e), output(e)])


def available(e: Evidence) -> str:
    """Hashes by which configuration, data and weights can be told apart."""
    facts = e.facts()
    parts = [f"Run {number(stated('run.json', facts, 'run_id'))}"]
    parts += [f"{n}: weights SHA-256 {e.hashed_weights(n)}" for n in e.models()]
    parts += [f"{d.name}: manifest SHA-256 {d.manifest.hash}" for d in e.datasets()]
    return joined(parts)


ANSWERS = {
    "model": model,
    "software": software,
    "initialisation": initialisation,
    "training": training,
    "chosen": chosen,
    "building": building,
    "ensemble": ensemble,
    "updating": updating,
    "output": output,
    "cutoff": cutoff,
    "calculated": calculated,
    "available": available,
}
