"""Files to stacks: what lies together in space and time, whatever the headers call a series.

One SeriesInstanceUID may hold several phases, told apart by acquisition number, by time, or only
by their slices lying in the same places twice; and a localiser of two planes is two stacks.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from client.series.headers import SliceHeader, digest_of

# Slices nearer than this lie in one place.
_SAME_PLACE_MM = 0.05
# Acquisitions that share more than this part of their extent are no two blocks of one volume.
_MOST_OVERLAP = 0.5

_Key = Callable[[SliceHeader], Hashable]


@dataclass(frozen=True)
class Stack:
    """Slices of one volume, or a single file.

    Attributes
    ----------
    slices : tuple of SliceHeader
    part : int
        Which stack of its series it is, from 1; 0 where the series is but one.
    doubled : bool
        Slices lie in the same places and nothing in their headers tells them apart.
    """

    slices: tuple[SliceHeader, ...]
    part: int = 0
    doubled: bool = False

    @property
    def first(self) -> SliceHeader:
        """The first slice's header, for what all slices share."""
        return self.slices[0]

    @property
    def name(self) -> str:
        """A digest of the series' identifier, and which part of the series it is."""
        name = digest_of(self.first.series_uid)
        return f"{name}-{self.part}" if self.part else name

    @property
    def files(self) -> tuple[Path, ...]:
        """The files, in the order of the folder."""
        return tuple(sorted(header.file for header in self.slices))

    @property
    def images(self) -> int:
        """Slices, also where one file holds several."""
        return sum(header.frames for header in self.slices)

    @cached_property
    def acquired_s(self) -> float | None:
        """Seconds since midnight at which the stack began to be acquired.

        With midnight in the middle of the stack, the beginning is the time before it.
        """
        times = [h.acquired_s for h in self.slices if h.acquired_s is not None]
        if not times:
            return None
        late = [time for time in times if time > max(times) - 43200]
        return min(late)

    @cached_property
    def normal(self) -> tuple[float, float, float] | None:
        """The slices' normal; None where the headers do not tell it."""
        if len(self.first.orientation) != 6:
            return None
        row, column = np.array(self.first.orientation).reshape(2, 3)
        x, y, z = np.cross(row, column)
        return float(x), float(y), float(z)


def find_stacks(headers: Iterable[SliceHeader]) -> list[Stack]:
    """Put a patient's slices together; in the order of series number, then of name.

    An instance that was exported twice counts once.
    """
    series: defaultdict[str, list[SliceHeader]] = defaultdict(list)
    for header in {header.instance_uid: header for header in headers}.values():
        series[header.series_uid].append(header)
    stacks = [stack for slices in series.values() for stack in _split(slices)]
    return sorted(stacks, key=lambda s: (s.first.study_uid, s.first.series_number or 0, s.name))


def _split(slices: Sequence[SliceHeader]) -> list[Stack]:
    """Divide a series into its stacks."""
    parts: list[tuple[list[SliceHeader], bool]] = []
    for alike in _groups(slices, _appearance):
        parts += _split_in_time(alike)
    if len(parts) == 1:
        return [Stack(tuple(parts[0][0]), doubled=parts[0][1])]
    return [
        Stack(tuple(part), number, doubled) for number, (part, doubled) in enumerate(parts, start=1)
    ]


def _appearance(header: SliceHeader) -> Hashable:
    """Return what all slices of a volume share."""
    orientation = tuple(round(x, 2) for x in header.orientation)
    spacing = tuple(round(x, 4) for x in header.spacing_mm)
    return orientation, spacing, header.shape, header.image_type[:3], header.frames > 1


def _split_in_time(slices: list[SliceHeader]) -> list[tuple[list[SliceHeader], bool]]:
    if slices[0].frames > 1:
        return [([header], False) for header in slices]
    by_acquisition = _groups(slices, lambda header: header.acquisition_number)
    if not _doubled(slices):
        return [(part, False) for part in _separate(by_acquisition)]
    keys: tuple[_Key, ...] = (
        lambda header: header.acquisition_number,
        lambda header: header.temporal_position,
        lambda header: (header.acquisition_number, header.temporal_position),
        lambda header: header.acquired_s,
        lambda header: header.trigger_s,
    )
    for key in keys:
        parts = _groups(slices, key)
        # One slice a part is a time of each slice, not of each volume.
        if len(parts) > 1 and not any(map(_doubled, parts)) and max(map(len, parts)) > 1:
            return [(part, False) for part in parts]
    by_number = _runs(slices)
    if by_number and not any(map(_doubled, by_number)):
        return [(part, False) for part in by_number]
    return [(slices, True)]


def _separate(parts: list[list[SliceHeader]]) -> list[list[SliceHeader]]:
    """Keep acquisitions apart that overlap in space; blocks of one volume are joined again.

    Step and shoot gives each slice or block an acquisition of its own.
    """
    if len(parts) < 2:
        return parts
    spans = [_span(part) for part in parts]
    for index, one in enumerate(spans):
        for other in spans[index + 1 :]:
            shared = min(one[1], other[1]) - max(one[0], other[0])
            shorter = min(one[1] - one[0], other[1] - other[0])
            if shorter > 0 and shared > _MOST_OVERLAP * shorter:
                return parts
    return [[header for part in parts for header in part]]


def _runs(slices: Sequence[SliceHeader]) -> list[list[SliceHeader]]:
    """Divide by instance number: where a place comes again, the next volume has begun."""
    numbers = [header.instance_number for header in slices]
    if None in numbers or len(set(numbers)) != len(numbers):
        return []
    runs: list[list[SliceHeader]] = [[]]
    places: set[tuple[int, ...]] = set()
    for header in sorted(slices, key=lambda header: header.instance_number or 0):
        place = _place(header)
        if place in places:
            runs.append([])
            places.clear()
        runs[-1].append(header)
        places.add(place)
    lengths = {len(run) for run in runs}
    # Volumes of one series are of one length; single slices left over are a doubled slice.
    return runs if max(lengths) <= 2 * min(lengths) else []


def _groups(slices: Iterable[SliceHeader], key: _Key) -> list[list[SliceHeader]]:
    """Return slices of equal keys together, in the order in which the keys first come."""
    groups: defaultdict[Hashable, list[SliceHeader]] = defaultdict(list)
    ordered = sorted(slices, key=lambda h: (h.acquisition_number or 0, h.instance_number or 0))
    for header in ordered:
        groups[key(header)].append(header)
    return list(groups.values())


def _place(header: SliceHeader) -> tuple[int, ...]:
    return tuple(round(x / _SAME_PLACE_MM) for x in header.position_mm)


def _doubled(slices: Sequence[SliceHeader]) -> bool:
    placed = [_place(header) for header in slices if header.position_mm]
    return len(set(placed)) < len(placed)


def _span(slices: Sequence[SliceHeader]) -> tuple[float, float]:
    """Return the extent along the normal, in mm."""
    first = slices[0]
    if len(first.orientation) != 6 or any(len(h.position_mm) != 3 for h in slices):
        return 0.0, 0.0
    row, column = np.array(first.orientation).reshape(2, 3)
    heights = np.array([header.position_mm for header in slices]) @ np.cross(row, column)
    return float(heights.min()), float(heights.max())
