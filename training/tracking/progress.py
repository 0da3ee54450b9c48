"""Where a training stands: a bar an epoch on a terminal, else a plain line every ten seconds.

teacher: epoch 3 of 20, step 120 of 400, 171 samples/s, wait 2%, 41:10 left
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from tqdm import tqdm

EVERY_S = 10.0


class Progress:
    """Call it after each step, as `Tracker.progress`.

    Rates are of this process in this epoch; what is left counts steps, not validations.
    """

    def __init__(self, label: str, epochs: int | None, echo: Callable[[str], None]) -> None:
        self.label, self.epochs, self.echo = label, epochs, echo
        self.epoch, self.next = 0, 0.0
        self.began = (0.0, 0, 0.0, 0.0)  # clock, step, samples, waited: at the first look
        self.bar: tqdm | None = None

    def __call__(self, epoch: int, step: int, steps: int, samples: float, waited: float) -> None:
        """See `Tracker.progress`."""
        now = time.monotonic()
        if epoch != self.epoch:
            self.close()
            self.epoch, self.began = epoch, (now, step, samples, waited)
            if sys.stderr.isatty():
                place = f"{epoch}/{self.epochs}" if self.epochs else f"{epoch}"
                self.bar = tqdm(
                    total=steps,
                    initial=step,
                    desc=f"{self.label} {place}",
                    unit="step",
                    leave=False,
                )
            # The clock of the lines runs on over epochs: there may be many in ten seconds.
            self.next = self.next or now + EVERY_S
            return
        if self.bar is not None:
            self.bar.update(step - self.bar.n)
        if now >= self.next:
            self.next = now + (EVERY_S if self.bar is None else 1.0)
            self._say(now, step, steps, samples, waited)
        if self.bar is not None and step >= steps:
            self.close()

    def _say(self, now: float, step: int, steps: int, samples: float, waited: float) -> None:
        then, step_0, samples_0, waited_0 = self.began
        spent = now - then
        if spent <= 0 or step <= step_0:
            return
        rate = f"{(samples - samples_0) / spent:.0f} samples/s"
        wait = f"wait {min(1.0, (waited - waited_0) / spent):.0%}"
        to_go = steps - step + ((self.epochs or self.epoch) - self.epoch) * steps
        left = f"{clock(spent / (step - step_0) * to_go)} left"
        if self.bar is not None:
            self.bar.set_postfix_str(f"{rate}, {wait}, {left}")
            return
        of = f" of {self.epochs}" if self.epochs else ""
        self.echo(
            f"{self.label}: epoch {self.epoch}{of}, step {step} of {steps}, {rate}, {wait}, {left}"
        )

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None


def clock(seconds: float) -> str:
    """4:10, or 1 h 04 min."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes > 59 else f"{minutes}:{rest:02d}"
