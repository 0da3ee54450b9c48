"""CRAFT of the pictures that a model calls one class: see `explain`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eval.craft.attention import attention, shares
from eval.craft.concepts import Bank, activations, factorise, purity
from eval.craft.crops import Crops, one_each, place
from eval.craft.cut import Cut
from eval.craft.drawings import Drawings, cut_out, drawings
from eval.craft.importance import Amounts, amounts, importance
from eval.craft.recursion import children
from eval.craft.shapes import Child, Concept, OfClass, Place, Settings
from eval.craft.stability import Stability, stability
from eval.craft.subjects import Subjects
from eval.estimate import Estimate
from eval.intervals import bootstrap

#: Why a concept is ambiguous; outweighed is what has less than another in its own best crops.
UNSTABLE, OUTWEIGHED = "not stable", "outweighed"


@dataclass(frozen=True)
class Look:
    """The network's last and an earlier cut, and how to look."""

    last: Cut
    earlier: Cut
    settings: Settings


@dataclass(frozen=True)
class _Seen:
    """What was computed of one class."""

    subjects: Subjects
    code: NDArray[np.int64]
    crops: Crops
    bank: Bank
    held: Amounts
    indices: NDArray[np.float64]
    again: Stability


def look_at(
    look: Look, subjects: Subjects, target: int, name: str, called: int
) -> tuple[OfClass, Drawings, NDArray[np.float64]]:
    """The concepts of a class, what to draw, and attention maps [N, SIDE, SIDE] of its pictures.

    Args:
        look: how.
        subjects: the pictures, all of which were called `target`.
        target: the class.
        name: of the class.
        called: how many pictures were called so, of which these were drawn.

    Raises:
        ValueError: nothing activates, no crop lies inside a face, or a number is not finite.
    """
    last, settings = look.last, look.settings
    images, face, batch = subjects.images, subjects.face, settings.batch
    code = np.unique(np.asarray(subjects.patients), return_inverse=True)[1]
    crops = place(len(images), (images.shape[2], images.shape[3]), subjects.masks())
    if not len(crops):
        raise ValueError("no crop lies inside a face: are the regions those of the pictures?")
    found = activations(last, images, face, crops, batch)
    bank = factorise(found.rows, settings.concepts)
    held = amounts(last, images, face, bank.concepts, batch)
    indices = importance(
        last, held, face, bank.concepts, target, settings.points, settings.seed, batch
    )
    again = stability(
        found.rows, bank.concepts, code[crops.picture], settings.repeats, settings.seed
    )
    seen = _Seen(subjects, code, crops, bank, held, indices, again)
    moved = np.logical_not(np.isnan(indices).any(axis=1))
    mean = indices[moved].mean(axis=0) if moved.any() else np.zeros(len(bank.concepts))
    order = np.argsort(-mean, kind="stable")
    concepts, best = _concepts(look, seen, order, moved, name)
    made = OfClass(
        name=name,
        called=called,
        pictures=len(images),
        patients=int(code.max()) + 1,
        crops=len(crops),
        outside=crops.outside,
        removed=found.removed,
        explained=bank.explained,
        carried=held.explained,
        converged=bank.converged,
        kept=float(held.kept.mean()),
        still=int((~moved).sum()),
        concepts=concepts,
    )
    drawn = drawings(last, look.earlier, bank.concepts[order], subjects, batch)
    drawn.crops.update({of: cut_out(subjects, crops.some(which)) for of, which in best.items()})
    return made, drawn, attention(held.places, mean)


def _concepts(
    look: Look, seen: _Seen, order: NDArray[np.int64], moved: NDArray[np.bool_], name: str
) -> tuple[tuple[Concept, ...], dict[str, NDArray[np.int64]]]:
    """Concepts in their order; and of each, and of each child, the best crops."""
    settings, subjects, bank = look.settings, seen.subjects, seen.bank
    made: list[Concept] = []
    shown: dict[str, NDArray[np.int64]] = {}
    for rank, i in enumerate(order.tolist(), start=1):
        own, of = bank.amounts[:, i], f"{name} {rank}"
        best = shown[of] = one_each(own, seen.crops.picture, settings.best)
        pure, outweighed = purity(bank.amounts, i, best)
        stable = bool(seen.again.stable[i])
        doubts = (UNSTABLE,) * (not stable) + (OUTWEIGHED,) * outweighed
        parts: tuple[Child, ...] = ()
        if doubts and sum(bool(c.children) for c in made) < settings.recursed:
            parts, of_parts = _children(look, seen, i, of)
            shown |= of_parts
        where = ()
        if subjects.regions is not None:
            where = shares(seen.held.places[..., i], subjects.regions, subjects.region_names)
        concept = Concept(
            name=of,
            importance=_importance(seen.indices[moved, i], seen.code[moved], settings),
            restarts=float(seen.again.restarts[i]),
            people=float(seen.again.people[i]),
            cosine=float(seen.again.cosine[i]),
            stable=stable,
            purity=pure,
            ambiguous=doubts,
            where=where,
            best=_places(seen, best, own),
            children=parts,
        )
        made.append(concept)
    return tuple(made), shown


def _children(
    look: Look, seen: _Seen, parent: int, name: str
) -> tuple[tuple[Child, ...], dict[str, NDArray[np.int64]]]:
    """The children of a concept, the most important first, and the best crops of each."""
    settings = look.settings
    found = children(
        look.last,
        look.earlier,
        seen.subjects.images,
        seen.subjects.face,
        seen.crops,
        seen.bank.amounts[:, parent],
        seen.bank.concepts,
        parent,
        settings,
    )
    order = np.argsort(-np.nan_to_num(found.indices, nan=-1.0), kind="stable")
    made: list[Child] = []
    shown: dict[str, NDArray[np.int64]] = {}
    for rank, k in enumerate(order.tolist()):
        of = f"{name}{chr(ord('a') + rank)}"
        index = found.indices[k]
        shown[of] = found.best[k]
        places = _places(seen, found.best[k], found.amounts[:, k])
        made.append(Child(name=of, index=None if np.isnan(index) else float(index), best=places))
    return tuple(made), shown


def _places(
    seen: _Seen, which: NDArray[np.int64], amounts: NDArray[np.float64]
) -> tuple[Place, ...]:
    """Where crops lie; () where faces may not be shown, for it says nothing without them."""
    crops = seen.crops
    if seen.subjects.pictures is None:
        return ()
    return tuple(
        Place(
            key=seen.subjects.keys[int(crops.picture[i])],
            left=int(crops.left[i]),
            top=int(crops.top[i]),
            side=crops.side,
            amount=float(amounts[i]),
        )
        for i in which.tolist()
    )


def _importance(indices: NDArray[np.float64], code: NDArray, settings: Settings) -> Estimate:
    """The mean over pictures, with patients drawn again."""
    if not len(indices):
        return Estimate(undefined="no concept moves the answer of any picture")
    if not indices.any():
        return Estimate(value=0.0, undefined="the answer depends on it in no picture")
    found = bootstrap(np.mean, indices, code, n=settings.draws, seed=settings.seed)
    method = f"mean over pictures; bootstrap of patients, {settings.draws} draws"
    value, low, high = found.value, found.low, found.high
    return Estimate(value=value, low=low, high=high, method=method, undefined=found.undefined)
