"""The flow diagram of a packed dataset (CONSORT, STARD): who came in, who did not, and why.

    from data_sharding.flow import svg, table
    table(manifest)     # lines for a terminal
    svg(manifest)       # a picture; equal manifests give equal bytes

    python -m data_sharding ledger shards/asan --picture flow.svg

A solid arrow leads to a part of the box above; a dotted line to a count of something else: rows,
then files, then patients. The picture needs no font, script or file beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from data_sharding.schema import REASONS, FlowStep, Manifest

WIDTH = 860
MAIN = (30, 330)  # left edge and width of the column of boxes
SIDE = (430, 400)  # of what was left out
GAP = 22  # height of an arrow; of one with something left out, half as much again
ENTRY = 20  # how far below its top edge the arrow meets a box at the side
LEAKS_SHOWN = 12

INK, MUTED, RULE, WASH, BLUE = "#1d2a36", "#5c6b79", "#c9d3db", "#f5f8fa", "#0f5c94"
RED, BLUSH = "#b3261e", "#fdf2f1"
SERIF = "Georgia, 'Liberation Serif', 'Times New Roman', serif"
SANS = "'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', sans-serif"

#: Widths of Helvetica's characters from space to tilde, in 1/1000 em (Adobe's AFM file).
_WIDTHS = [
    *(278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278),
    *(556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556),
    *(1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778),
    *(667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556),
    *(333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556),
    *(556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584),
]
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def table(manifest: Manifest) -> list[str]:
    """Lines for a terminal, the last of them the check of the sums; allowed leaks are red.

    Raises:
        ValueError: a manifest edited by hand, of which a step does not add up.
    """
    splits = check(manifest)
    lines = []
    for box in manifest.flow:
        said = f"{box.n_in} {_units(box.n_in, box.unit)} in, {box.n_out} out"
        lines.append(f"{box.step}: {said}")
        lines += [f"  {n:6d}  {REASONS.get(reason, reason)}" for reason, n in box.excluded.items()]
    if manifest.leaks:
        lines.append(f"\x1b[31m{_leaks_title(len(manifest.leaks))}\x1b[0m")
        lines += [f"\x1b[31m  {leak}\x1b[0m" for leak in manifest.leaks]
    shares = ", ".join(f"{split} {n}" for split, n in splits.items()) or "none"
    out: dict[str, int] = {}
    for box in manifest.flow:
        out[box.unit] = out.get(box.unit, 0) + sum(box.excluded.values())
    gone = ", ".join(f"{n} {_units(n, unit)}" for unit, n in out.items() if n) or "nothing"
    steps = f"{len(manifest.flow)} {_units(len(manifest.flow), 'step')}"
    return [
        *lines,
        f"total: {sum(splits.values())} samples ({shares}); left out: {gone}; "
        f"the sums of {steps} are right",
    ]


def check(manifest: Manifest) -> dict[str, int]:
    """Samples of each split, in the order of the shards, once every sum is found right.

    Raises:
        ValueError: in != out + left out at a step, or the last pictures are not those sharded.
    """
    for box in manifest.flow:
        gone = sum(box.excluded.values())
        if box.n_in != box.n_out + gone or min(box.n_in, box.n_out, *box.excluded.values(), 0) < 0:
            raise ValueError(
                f"{manifest.name}: the step {box.step!r} does not add up: {box.n_in} in, "
                f"{box.n_out} out and {gone} left out. The manifest was changed: pack again."
            )
    splits: dict[str, int] = {}
    for shard in manifest.shards:
        splits[shard.split] = splits.get(shard.split, 0) + shard.samples
    last = manifest.flow[-1] if manifest.flow else None
    if last and last.unit == "image" and last.n_out != sum(splits.values()):
        raise ValueError(
            f"{manifest.name}: the step {last.step!r} ends with {last.n_out} images, but the "
            f"shards hold {sum(splits.values())}. The manifest was changed: pack again."
        )
    return splits


@dataclass
class _Sheet:
    """Shapes in the order they are drawn, from the top down.

    `y` is where the next one begins, `side` where the last box of what was left out ends: such a
    box stands beside the column and may be longer than the arrow it hangs on.
    """

    y: float = 34
    side: float = 0
    shapes: list[str] = field(default_factory=list)

    def text(self, x: float, y: float, said: str, style: str) -> None:
        clean = escape(_NOT_XML.sub("\ufffd", said))
        self.shapes.append(f'<text x="{x:g}" y="{y:g}" {style}>{clean}</text>')

    def rect(self, x: float, y: float, size: tuple[float, float], style: str) -> None:
        self.shapes.append(
            f'<rect x="{x:g}" y="{y:g}" width="{size[0]:g}" height="{size[1]:g}" rx="4" {style}/>'
        )

    def line(self, way: str, tip: bool = False, dotted: bool = False) -> None:
        more = ' stroke-dasharray="1.5 4" stroke-linecap="round"' if dotted else ""
        more += ' marker-end="url(#tip)"' if tip else ""
        self.shapes.append(
            f'<path d="{way}" fill="none" stroke="{MUTED}" stroke-width="1.3"{more}/>'
        )

    def box(self, x: float, wide: float, n: int, said: str, y: float, plain: bool = False) -> float:
        """A number over its words, centred; its height."""
        rows = wrap(said, wide - 28, 13)
        high = 40 + 17 * len(rows)
        edge, fill = (RULE, WASH) if plain else (BLUE, "#fff")
        self.rect(x, y, (wide, high), f'fill="{fill}" stroke="{edge}" stroke-width="1.3"')
        self.text(x + wide / 2, y + 27, f"{n:,}", f'{_font(SERIF, 21, INK)} text-anchor="middle"')
        for k, row in enumerate(rows):
            style = f'{_font(SANS, 13, MUTED)} text-anchor="middle"'
            self.text(x + wide / 2, y + 46 + 17 * k, row, style)
        return high


def svg(manifest: Manifest) -> str:
    """The flow as an SVG picture.

    Raises:
        ValueError: as of `table`.
    """
    splits = check(manifest)
    sheet = _Sheet()
    _title(sheet, manifest, sum(splits.values()))
    middle = MAIN[0] + MAIN[1] / 2
    before: FlowStep | None = None
    for step in manifest.flow:
        goes_on = before is not None and (step.unit, step.n_in) == (before.unit, before.n_out)
        if before and not goes_on:
            sheet.line(f"M{middle:g} {sheet.y:g}v{GAP}", dotted=True)
            sheet.y += GAP
        _step(sheet, step, goes_on)
        before = step
    if splits:
        _splits(sheet, splits, bool(before))
    if manifest.leaks:
        _leaks(sheet, manifest.leaks)
    height = round(max(sheet.y, sheet.side) + 30)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img">'
    )
    name = escape(f"Flow diagram of {manifest.name}")
    tip = (
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="8" '
        'markerHeight="8" markerUnits="userSpaceOnUse" orient="auto">'
        f'<path d="M0 0L8 4L0 8z" fill="{MUTED}"/></marker></defs>'
    )
    paper = f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>'
    return "\n".join([head, f"<title>{name}</title>", tip, paper, *sheet.shapes, "</svg>", ""])


def _title(sheet: _Sheet, manifest: Manifest, samples: int) -> None:
    sheet.text(MAIN[0], sheet.y + 8, manifest.name, _font(SERIF, 27, INK))
    facts = [manifest.role, f"policy {manifest.policy}" if manifest.policy else "no labels"]
    facts += [f"{samples:,} {_units(samples, 'sample')}", f"manifest {manifest.hash[:12]}"]
    for row in wrap(" \u00b7 ".join(facts), WIDTH - 2 * MAIN[0], 13):
        sheet.text(MAIN[0], sheet.y + 31, row, _font(SANS, 13, MUTED))
        sheet.y += 18
    sheet.y += 38


def _step(sheet: _Sheet, step: FlowStep, goes_on: bool) -> None:
    """The box of what came in (unless the last one says so), what was left out, what went on."""
    middle = MAIN[0] + MAIN[1] / 2
    if not goes_on and step.excluded:
        said = _units(step.n_in, step.unit)
        sheet.y += sheet.box(*MAIN, step.n_in, said, sheet.y)
    top = sheet.y
    if step.excluded:
        arm = max(top + 0.75 * GAP, sheet.side + 8 + ENTRY)
        sheet.line(f"M{middle:g} {arm:g}H{SIDE[0]}", tip=True)
        sheet.side = arm - ENTRY + _side(sheet, step, arm - ENTRY)
        sheet.y = arm + 0.75 * GAP
    elif goes_on:
        sheet.y += GAP
    if sheet.y > top:
        sheet.line(f"M{middle:g} {top:g}V{sheet.y:g}", tip=True)
    named = step.unit in step.step
    said = step.step if named else f"{_units(step.n_out, step.unit)}: {step.step}"
    sheet.y += sheet.box(*MAIN, step.n_out, said, sheet.y)


def _side(sheet: _Sheet, step: FlowStep, y: float) -> float:
    """The box of what was left out at a step, reasons with counts; its height."""
    x, wide = SIDE
    reasons = [
        (wrap(REASONS.get(code, code), wide - 110, 13), n) for code, n in step.excluded.items()
    ]
    high = 42 + 18 * sum(len(rows) for rows, _ in reasons)
    sheet.rect(x, y, (wide, high), f'fill="{WASH}" stroke="{RULE}"')
    total = sum(step.excluded.values())
    bold = f'{_font(SANS, 13, INK)} font-weight="bold"'
    sheet.text(x + 16, y + 23, f"{total:,} {_units(total, step.unit)} left out", bold)
    at = y + 44
    for rows, n in reasons:
        count = f'{_font(SANS, 13, INK)} text-anchor="end"'
        sheet.text(x + wide - 16, at, f"{n:,}", count)
        for row in rows:
            sheet.text(x + 16, at, row, _font(SANS, 13, INK))
            at += 18
    return high


def _splits(sheet: _Sheet, splits: dict[str, int], below: bool) -> None:
    """Boxes side by side under the last one."""
    room, gap = WIDTH - 2 * MAIN[0], 14
    wide = min((room - gap * (len(splits) - 1)) / len(splits), 190)
    lefts = [MAIN[0] + k * (wide + gap) for k in range(len(splits))]
    if len(splits) == 1:
        lefts, wide = [MAIN[0]], MAIN[1]
    middle = MAIN[0] + MAIN[1] / 2
    bar = max(sheet.y + GAP / 2, sheet.side + GAP / 2 if len(splits) > 1 else 0)
    top = bar + GAP
    centres = [left + wide / 2 for left in lefts]
    if below:
        sheet.line(f"M{middle:g} {sheet.y:g}V{bar:g}")
        sheet.line(f"M{min(centres):g} {bar:g}H{max(centres):g}")
        for centre in centres:
            sheet.line(f"M{centre:g} {bar:g}V{top:g}", tip=True)
    high = max(
        sheet.box(left, wide, n, f"{split} {_units(n, 'sample')}", top, plain=True)
        for left, (split, n) in zip(lefts, splits.items(), strict=True)
    )
    sheet.y = top + high


def _leaks(sheet: _Sheet, leaks: Sequence[str]) -> None:
    """A red box: what is known to be on both sides of a split."""
    x, wide = MAIN[0], WIDTH - 2 * MAIN[0]
    rows = [row for leak in leaks[:LEAKS_SHOWN] for row in wrap(leak, wide - 32, 12)]
    if len(leaks) > LEAKS_SHOWN:
        rows.append(f"and {len(leaks) - LEAKS_SHOWN:,} more")
    y = max(sheet.y, sheet.side) + 24
    high = 42 + 17 * len(rows)
    sheet.rect(x, y, (wide, high), f'fill="{BLUSH}" stroke="{RED}" stroke-width="1.3"')
    title = f'{_font(SANS, 13, RED)} font-weight="bold"'
    sheet.text(x + 16, y + 23, _leaks_title(len(leaks)), title)
    for k, row in enumerate(rows):
        sheet.text(x + 16, y + 44 + 17 * k, row, _font(SANS, 12, RED))
    sheet.y = y + high


def _leaks_title(n: int) -> str:
    return f"{n:,} {_units(n, 'leak')} between splits, known and allowed"


def _units(n: int, unit: str) -> str:
    return unit if n == 1 else f"{unit}s"


def _font(family: str, size: int, colour: str) -> str:
    return f'font-family="{family}" font-size="{size}" fill="{colour}"'


def width(text: str, size: float) -> float:
    """Width of a line in pixels, set in Helvetica; characters not in it count as one em."""
    known = (_WIDTHS[ord(c) - 32] if 32 <= ord(c) < 127 else 1000 for c in text)
    return sum(known) * size / 1000


def wrap(text: str, wide: float, size: float) -> list[str]:
    """Lines no wider than `wide` pixels; a word that is too long is broken."""
    lines, line = [], ""
    for word in _words(text, wide, size):
        longer = f"{line} {word}" if line else word
        if line and width(longer, size) > wide:
            lines.append(line)
            longer = word
        line = longer
    return [*lines, line]


def _words(text: str, wide: float, size: float) -> Iterator[str]:
    for word in text.split():
        part = ""
        for c in word:
            if part and width(part + c, size) > wide:
                yield part
                part = ""
            part += c
        yield part
