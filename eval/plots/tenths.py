"""A histogram of probabilities small enough for a table's cell, with the threshold on it."""

from __future__ import annotations

from collections.abc import Sequence

from eval.plots.style import INK, MUTED, RULE

WIDTH, HEIGHT, PAD = 190, 34, 8


def tenths(counts: Sequence[int], threshold: float | None) -> str:
    """Bars of the shares in tenths of [0, 1], the largest as high as the cell.

    Args:
        counts: of equal parts of [0, 1].
        threshold: where a dashed line stands; None is no line.
    """
    wide, most = (WIDTH - 2 * PAD) / len(counts), max(counts)
    bars = []
    for i, count in enumerate(counts):
        high = (HEIGHT - 4) * count / most
        bars.append(
            f'<rect x="{PAD + i * wide + 0.5:.1f}" y="{HEIGHT - 2 - high:.1f}" '
            f'width="{wide - 1:.1f}" height="{high:.1f}" fill="{MUTED}"/>'
        )
    line = ""
    if threshold is not None:
        x = PAD + threshold * (WIDTH - 2 * PAD)
        line = (
            f'<line x1="{x:.1f}" y1="0" x2="{x:.1f}" y2="{HEIGHT}" stroke="{INK}" '
            'stroke-width="1.3" stroke-dasharray="3,2"/>'
        )
    return (
        f'<svg class="strip" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'aria-hidden="true"><line x1="{PAD}" y1="{HEIGHT - 1.5}" x2="{WIDTH - PAD}" '
        f'y2="{HEIGHT - 1.5}" stroke="{RULE}"/>{"".join(bars)}{line}</svg>'
    )
