"""Objects of neighbouring planes or times that are one.

First the objects of each two neighbouring planes are paired, the best overlap (intersection over union) first, each
with at most one. Then gaps are closed, the shortest first: an object that has no follower is paired in the same way
with one of the second next plane that has nothing before it, and so on up to the longest gap. Ids are 1 to n by the
plane where an object begins, then by its label there.

Which pairs may be one: along t those whose overlap reaches the threshold. Along z the planes are sections of bodies,
whose size changes quickly near their poles; there a pair may also be one if

- nearly all of the smaller section, (1 + threshold) / 2 of it, lies in the larger: the pole of a sphere does, whatever
  the distance of planes; or
- they overlap by half of the threshold, and discs as large as they are would overlap by the threshold had the first
  moved on as it did before: a thin body that lies aslant.

And along z an object is parted at a *waist*: where, between two bulges, a section is smaller than WAIST of the smaller
bulge's largest one, and what the sections around lack of that adds up to MISSING of one or more. So of two spheres, one
on top of the other, each is one; a single plane in which too little was found parts nothing. All of this compares
sections with sections, so it needs no distance of planes and holds for any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_sam.errors import InputError

__all__ = ["Overlaps", "link", "overlaps", "sum_overlaps"]

Ids = npt.NDArray[np.int64]
WAIST = 0.6  # of the smaller bulge: a section below parts two bodies,
MISSING = 0.7  # if so many sections of the bulge are missing around it
Overlaps = tuple[Ids, Ids]  # (k, 2) labels in rising order, (k,) pixels they share


def overlaps(labels_a: npt.NDArray[Any], labels_b: npt.NDArray[Any]) -> Overlaps:
    """Count the pixels that the labels of two planes share in the same block.

    Parameters
    ----------
    labels_a, labels_b
        Whole numbers from 0, background, to 2**31 - 1, of the same shape.

    Returns
    -------
    pairs
        (k, 2) int64 labels of the first and the second plane, in rising order.
    counts
        (k,) int64 pixels.
    """
    both = (labels_a > 0) & (labels_b > 0)
    keys = (labels_a[both].astype(np.int64) << 32) | labels_b[both].astype(np.int64)
    found, counts = np.unique(keys, return_counts=True)
    return np.stack([found >> 32, found & 0xFFFFFFFF], axis=1), counts.astype(np.int64)


def sum_overlaps(parts: Iterable[Overlaps]) -> Overlaps:
    """Add up the overlaps of the blocks of two planes, given in any order."""
    listed = list(parts)
    pairs = np.concatenate([np.empty((0, 2), np.int64), *(pairs for pairs, _ in listed)])
    counts = np.concatenate([np.empty(0, np.int64), *(counts for _, counts in listed)])
    keys, place = np.unique((pairs[:, 0] << 32) | pairs[:, 1], return_inverse=True)
    total = np.zeros(len(keys), np.int64)
    np.add.at(total, place, counts)
    return np.stack([keys >> 32, keys & 0xFFFFFFFF], axis=1), total


def link(
    areas: Sequence[npt.NDArray[Any]],
    read_overlaps: Callable[[int, int], Overlaps],
    *,
    centres: Sequence[npt.NDArray[np.float64]] | None = None,
    threshold: float = 0.5,
    gap: int = 1,
) -> list[Ids]:
    """Give the objects of a row of planes ids that hold over all of them.

    Parameters
    ----------
    areas
        For each plane the pixels of each label; index 0 is the background and not looked at. Labels without a pixel
        are no objects.
    read_overlaps
        Called with the numbers of two planes p < q <= p + gap + 1, returns what `overlaps` of all their blocks sum up
        to; each pair of planes is asked for once, and not kept.
    centres
        For each plane the (n, 2) (row, col) centres of its labels: the planes are sections along z. None: they are
        times.
    threshold
        The overlap (intersection over union) from which objects are one.
    gap
        Planes that may be missing between two objects that are one.

    Returns
    -------
    list
        For each plane the int64 ids by label, as long as its areas; 0 for the background and labels without a pixel.

    Raises
    ------
    InputError
        If the threshold or the gap is out of range.
    """
    if not 0 < threshold <= 1:
        raise InputError(f"The threshold of linking is {threshold}: give an overlap above 0 and at most 1.")
    if gap < 0:
        raise InputError(f"The gap of linking is {gap} planes: give 0 or more.")
    chains = _Chains.of(areas)
    for step in range(1, gap + 2):
        for plane in range(len(areas) - step):
            after = plane + step
            pairs, counts = read_overlaps(plane, after)
            free = ~chains.followed[plane][pairs[:, 0]] & (chains.before[after][pairs[:, 1]] == 0)
            pairs, counts = pairs[free], counts[free]
            one, other = (
                np.asarray(areas[k])[pairs[:, side]].astype(np.int64) for side, k in enumerate((plane, after))
            )
            overlap = counts / np.maximum(one + other - counts, 1)
            good = overlap >= threshold
            if centres is not None:
                good |= 2 * counts >= (1 + threshold) * np.minimum(one, other)
                away = centres[after][pairs[:, 1]] - centres[plane][pairs[:, 0]]
                away -= step * chains.motion(plane, centres)[pairs[:, 0]]
                moved = _overlap_of_discs(one, other, np.hypot(*away.T))
                good |= (2 * overlap >= threshold) & (moved >= threshold)
            first, second = _pair(pairs[good], overlap[good])
            chains.followed[plane][first] = True
            chains.before[after][second], chains.distance[after][second] = first, step
    if centres is not None:
        chains.part_at_waists()
    return chains.numbered()


@dataclass(frozen=True)
class _Chains:
    """Hold for each plane and label what it goes on from: the label there, 0 for none, and how many planes back."""

    areas: list[npt.NDArray[np.int64]]
    followed: list[npt.NDArray[np.bool_]]
    before: list[npt.NDArray[np.int32]]
    distance: list[npt.NDArray[np.int32]]

    @classmethod
    def of(cls, areas: Sequence[npt.NDArray[Any]]) -> _Chains:
        sizes = [len(area) for area in areas]
        return cls(
            [np.asarray(area, np.int64) for area in areas],
            [np.zeros(size, bool) for size in sizes],
            [np.zeros(size, np.int32) for size in sizes],
            [np.zeros(size, np.int32) for size in sizes],
        )

    def links(self, plane: int) -> Iterator[tuple[int, npt.NDArray[np.int32], npt.NDArray[np.intp]]]:
        """Yield, for each distance, an earlier plane, labels there, and the labels of `plane` that go on from them."""
        for step in np.unique(self.distance[plane][self.before[plane] > 0]).tolist():
            mine = np.flatnonzero((self.before[plane] > 0) & (self.distance[plane] == step))
            yield plane - step, self.before[plane][mine], mine

    def motion(self, plane: int, centres: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
        """Return how far each object of a plane moved a plane, (n, 2); 0 where it begins."""
        moved = np.zeros((len(self.areas[plane]), 2))
        for earlier, theirs, mine in self.links(plane):
            moved[mine] = (centres[plane][mine] - centres[earlier][theirs]) / (plane - earlier)
        return moved

    def part_at_waists(self) -> None:
        """Cut chains at their waists."""
        largest = [area.copy() for area in self.areas]  # so far, then from here on as well
        ahead = [area.copy() for area in self.areas]
        for plane in range(len(largest)):
            for earlier, theirs, mine in self.links(plane):
                largest[plane][mine] = np.maximum(largest[plane][mine], largest[earlier][theirs])
        for plane in reversed(range(len(ahead))):
            for earlier, theirs, mine in self.links(plane):
                ahead[earlier][theirs] = np.maximum(ahead[earlier][theirs], ahead[plane][mine])
        ids = self.numbered()
        narrow = [
            own[area < WAIST * np.minimum(back, front)]
            for own, area, back, front in zip(ids, self.areas, largest, ahead, strict=True)
        ]
        wanted = np.unique(np.concatenate([np.empty(0, np.int64), *narrow]))
        members: dict[int, list[tuple[int, int]]] = {number: [] for number in wanted.tolist() if number}
        for plane, own in enumerate(ids):
            for label in np.flatnonzero(np.isin(own, wanted)).tolist():
                if own[label]:
                    members[int(own[label])].append((plane, label))
        for sections in members.values():
            for place in _waists(np.array([self.areas[plane][label] for plane, label in sections], np.float64)):
                plane, label = sections[place]
                self.before[plane][label] = 0

    def numbered(self) -> list[Ids]:
        """Return the ids of all labels."""
        lookup: list[Ids] = []
        total = 0
        for plane, area in enumerate(self.areas):
            ids = np.zeros(len(area), np.int64)
            for earlier, theirs, mine in self.links(plane):
                ids[mine] = lookup[earlier][theirs]
            new = np.flatnonzero((self.before[plane] == 0) & (area > 0))
            new = new[new > 0]
            ids[new] = np.arange(total + 1, total + 1 + len(new))
            total += len(new)
            lookup.append(ids)
        return lookup


def _pair(pairs: Ids, overlap: npt.NDArray[np.float64]) -> tuple[Ids, Ids]:
    """Pair labels one to one, the best overlap first, of equals the lower labels; return both columns."""
    left = pairs[np.lexsort((pairs[:, 1], pairs[:, 0], -overlap))]
    chosen = [np.empty((0, 2), np.int64)]
    while len(left):  # in each round all that are the best of both their labels: the same as one after another
        best = np.zeros((len(left), 2), bool)
        for side in range(2):
            best[np.unique(left[:, side], return_index=True)[1], side] = True
        taken = left[best.all(axis=1)]
        chosen.append(taken)
        left = left[~np.isin(left[:, 0], taken[:, 0]) & ~np.isin(left[:, 1], taken[:, 1])]
    found = np.concatenate(chosen)
    return found[:, 0], found[:, 1]


def _overlap_of_discs(
    one: npt.NDArray[np.int64], other: npt.NDArray[np.int64], distance: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the intersection over union of discs of given areas whose centres are so far apart."""
    small, large = (np.sqrt(np.maximum(choose(one, other), 1) / np.pi) for choose in (np.minimum, np.maximum))
    apart = np.clip(distance, large - small, large + small)
    apart = np.maximum(apart, 1e-9)  # concentric discs of one size
    half_small = np.arccos(np.clip((apart**2 + small**2 - large**2) / (2 * apart * small), -1, 1))
    half_large = np.arccos(np.clip((apart**2 + large**2 - small**2) / (2 * apart * large), -1, 1))
    shared = small**2 * (half_small - np.sin(2 * half_small) / 2) + large**2 * (half_large - np.sin(2 * half_large) / 2)
    return shared / (np.pi * (small**2 + large**2) - shared)


def _waists(areas: npt.NDArray[np.float64]) -> list[int]:
    """Return the places of sections, given in order, that begin an object of their own."""
    found: list[int] = []
    parts = [(0, len(areas))]
    while parts:
        begin, end = parts.pop()
        mine = areas[begin:end]
        bulge = np.minimum(np.maximum.accumulate(mine), np.maximum.accumulate(mine[::-1])[::-1])
        share = mine / bulge
        for k in np.argsort(share, kind="stable").tolist():
            if share[k] > WAIST:
                break
            enough = np.flatnonzero(mine >= bulge[k])
            valley = mine[enough[enough < k][-1] + 1 : enough[enough > k][0]]
            if (1 - valley / bulge[k]).sum() >= MISSING:
                cut = begin + (k if mine[k - 1] < mine[k + 1] else k + 1)  # the section goes with its larger neighbour
                found.append(cut)
                parts += [(begin, cut), (cut, end)]
                break
    return found
