"""This machine: processors, memory, disks, limits, clocks, GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cluster.checks import Check, GiB

#: Seconds. Beyond the first, times in logs and trackers mislead; beyond the second, object stores
#: refuse signed requests (S3: RequestTimeTooSkewed) and so do certificates that were just issued.
SKEW_SEEN, SKEW_REFUSED = 5.0, 900.0


def cpus(n: int, need: int = 2) -> Check:
    """CPUs this process may use, against what the workers ask of a cluster of this machine."""
    if n < need:
        line = f"{n}, and the workers ask for {need}"
        return Check("cpus", "warn", line, "compute.workers=1, more machines, or launcher=local")
    return Check("cpus", "ok", f"{n}")


def memory(available: int) -> Check:
    """Memory free: Ray and two CPU workers of the smoke size take about 4 GiB."""
    line = f"{available / GiB:.1f} GiB free"
    if available < 2 * GiB:
        return Check("memory", "fail", line, "end other programs; compute.launcher=local needs 1.5")
    if available < 5 * GiB:
        return Check("memory", "warn", line, "compute.workers=1 or compute.launcher=local")
    return Check("memory", "ok", line)


def disk(home: Path, free: int, writable: bool) -> Check:
    """Room and permission where runs are written."""
    line = f"{free / GiB:.1f} GiB free at {home}"
    if not writable:
        return Check("disk", "fail", f"{home} cannot be written", "set OSTEORAY_HOME to your own")
    if free < 2 * GiB:
        return Check("disk", "fail", line, "delete old runs, or set OSTEORAY_HOME elsewhere")
    if free < 10 * GiB:
        return Check("disk", "warn", line, "a run keeps its checkpoints: delete old runs")
    return Check("disk", "ok", line)


def ray_disk(folder: Path, total: int, free: int) -> Check:
    """The disk of Ray's session folder: at 95% full (local_fs_capacity_threshold) Ray stops.

    What else lies on that disk counts, so that a full /tmp stops a run that writes nothing there.
    """
    used = 1 - free / total
    line = f"{used:.0%} full at {folder}, where Ray keeps logs and spilled objects"
    fix = "free some of it, or ray start --head --temp-dir on a larger disk"
    if used >= 0.95:
        return Check("ray disk", "fail", line + "; it refuses to at 95%", fix)
    if used >= 0.85:
        return Check("ray disk", "warn", line + "; it refuses to at 95%", fix)
    return Check("ray disk", "ok", line)


def shared_memory(size: int | None) -> Check:
    """Size of /dev/shm, where Ray's objects and loaders' batches lie; a container has 64 MiB."""
    if size is None:
        return Check("/dev/shm", "ok", "none on this system; Ray uses files")
    line = f"{size / GiB:.2f} GiB"
    if size < 2 * GiB:
        fix = "docker run --shm-size=8g; in Kubernetes mount an emptyDir with medium: Memory"
        return Check("/dev/shm", "warn", f"{line}: Ray falls back to slow files", fix)
    return Check("/dev/shm", "ok", line)


def open_files(hard: int) -> Check:
    """The hard limit of open files, to which Ray raises the soft one; it warns below 4096."""
    if hard < 4096:
        fix = "ulimit -Hn in limits.conf; docker run --ulimit nofile=65536; LimitNOFILE= in systemd"
        return Check("open files", "warn", f"{hard} at most: Ray wants 4096 and more", fix)
    return Check("open files", "ok", f"{hard} at most")


def clock(name: str, of: str, skew: float | None, accuracy: float) -> Check:
    """This machine's clock against another's.

    Args:
        name: of the check.
        of: whose clock it is compared with.
        skew: seconds this machine is ahead (negative: behind); None where there is none to ask.
        accuracy: seconds by which `skew` may be wrong, being how it was measured.
    """
    if skew is None:
        return Check(name, "ok", f"not compared: nothing is known of {of}")
    late = abs(skew) - accuracy
    line = f"{abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} {of}"
    fix = "chronyc tracking, or timedatectl set-ntp true, on every machine"
    if late > SKEW_REFUSED:
        return Check(name, "fail", f"{line}: certificates and object stores refuse us", fix)
    if late > SKEW_SEEN:
        return Check(name, "warn", f"{line}: times in logs and W&B will mislead", fix)
    return Check(name, "ok", f"as {of} (to {accuracy:.2g} s)")


def gpus(driver: bool, usable: int | None, need: int = 0, used: Sequence[float] = ()) -> Check:
    """GPUs that torch can use, against what the run asks of a cluster of this machine.

    Args:
        driver: says that a device is there.
        usable: None without torch.
        need: of the run; 0 if it does not use them.
        used: share of each GPU's memory that somebody else holds already.
    """
    full = [i for i, share in enumerate(used) if share > 0.2]
    if driver and usable == 0:
        line = "the machine has a GPU that torch cannot use"
        fix = "python -m torch.utils.collect_env compares the versions"
        return Check("gpus", "fail" if need else "warn", line, fix)
    if (usable or 0) < need:
        line = f"{usable or 0} here, and the workers ask for {need}"
        fix = "compute.workers=, compute.use_gpu=false, or more machines"
        return Check("gpus", "warn", line, fix)
    if full:
        line = (
            f"{usable}, of which {', '.join(map(str, full))} are in use: {used[full[0]]:.0%} full"
        )
        return Check("gpus", "warn", line, "nvidia-smi shows by whom; CUDA_VISIBLE_DEVICES chooses")
    if usable:
        return Check("gpus", "ok", f"{usable}")
    return Check("gpus", "ok", "none: recipes named :smoke run, compute.use_gpu=true does not")
