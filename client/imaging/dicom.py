"""A DICOM series: which files belong to it, in what order, and where they lie."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray

from client.imaging.dicom_header import Slice, read_slices
from client.imaging.dicom_pixels import read_hu
from client.imaging.errors import ImagingError
from client.imaging.grid import Box, Grid
from client.imaging.links import check_link
from client.imaging.stack import spoken, stack_planes

_SAME_SPACING_MM = 1e-4
# What viewers, archives and operating systems leave beside slices.
_OTHER_NAMES = frozenset({"dicomdir", "thumbs.db", "desktop.ini", "license", "readme", "version"})
_OTHER_SUFFIXES = frozenset(
    {".txt", ".xml", ".json", ".csv", ".pdf", ".jpg", ".jpeg", ".png", ".html", ".md", ".ini"}
)


@dataclass(frozen=True, eq=False)
class DicomSeries:
    """A regular stack of slices; only the slices of a box are decoded.

    Attributes
    ----------
    folder : Path
    slices : tuple of Slice or None
        In the order of space, along the slices' normal; None where one is missing.
    grid : Grid
    uid : str
        Of the series.
    notes : tuple of (str, Path)
        What was passed over, and where: exact doubles, and slices missing where nobody may
        need them.
    """

    folder: Path
    slices: tuple[Slice | None, ...]
    grid: Grid
    uid: str
    notes: tuple[tuple[str, Path], ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """The files in the order of space."""
        return tuple(one.file for one in self.slices if one is not None)

    @property
    def patient(self) -> str:
        """Whose the first file says it is (PatientID); empty where it does not say."""
        header = pydicom.dcmread(
            self.files[0], specific_tags=["PatientID"], stop_before_pixels=True, force=True
        )
        return str(header.get("PatientID") or "").strip().upper()

    def read(self, box: Box) -> NDArray[Any]:
        """Return the HU of a box, shape (d, h, w); nothing is below -1024, which is air.

        Raises
        ------
        ImagingError
            A slice of the box is missing, damaged, cut short, or encoded in an unknown way.
        """
        wanted = [one for one in self.slices[box[0]] if one is not None]
        if len(wanted) < len(range(*box[0].indices(len(self.slices)))):
            raise ImagingError(self._gap(box[0]), self.folder)
        return read_hu(wanted, box[1], box[2])

    def _gap(self, places: slice) -> str:
        missing = [i for i in range(places.start, places.stop) if self.slices[i] is None]
        what = "1 slice is" if len(missing) == 1 else f"{len(missing)} slices are"
        where = _between(self.slices, missing[0])
        return f"{what} missing where they are needed, the first {where}: export the series anew"


def _between(slices: Sequence[Slice | None], place: int) -> str:
    """Say where a slice is missing; neither end of a stack can be.

    By places that any viewer shows: files may be named after a person.
    """
    below = next(one for one in slices[place::-1] if one is not None)
    above = next(one for one in slices[place:] if one is not None)
    return f"between {spoken(below.position_mm)} and {spoken(above.position_mm)}"


def open_series(folder: Path) -> DicomSeries:
    """Read the headers of the one CT series in a folder, under any file names.

    Raises
    ------
    ImagingError
        As `open_files`, the folder holds no DICOM or more than one series, or a slice is a link
        that leads nowhere.
    """
    there = [path for path in sorted(folder.iterdir()) if not is_other(path)]
    for path in there:
        check_link(path)
    return open_files([path for path in there if path.is_file()], folder)


def open_files(files: Sequence[Path], folder: Path | None = None) -> DicomSeries:
    """Read the headers of one CT series of which every file is given, in any order.

    Parameters
    ----------
    files : sequence of Path
        All slices of one series, or its enhanced multi-frame file; a folder of mixed series
        holds others beside them.
    folder : Path, optional
        Named in errors that are no single file's; by default the first file's own.

    Raises
    ------
    ImagingError
        No DICOM, an unreadable file, more than one series, not CT, or slices that do not make
        one regular stack (`client.imaging.stack` has the limits).
    """
    folder = folder or (files[0].parent if files else Path())
    slices = read_slices(files)
    if not slices:
        raise ImagingError("no readable DICOM series in this folder", folder)
    series = {one.series for one in slices}
    if len(series) > 1:
        raise ImagingError(
            f"{len(series)} series in one folder: leave only the one of this phase", folder
        )
    _check_alike(slices)
    return _stack(slices, folder)


def is_other(path: Path) -> bool:
    """Return whether a file's name says that it is no slice: a directory, a note, a picture."""
    name = path.name.lower()
    return name.startswith(".") or name in _OTHER_NAMES or path.suffix.lower() in _OTHER_SUFFIXES


def _check_alike(slices: Sequence[Slice]) -> None:
    first = slices[0]
    for one in slices:
        away = np.abs(np.subtract(one.spacing_mm, first.spacing_mm)).max()
        if one.size != first.size or away > _SAME_SPACING_MM:
            raise ImagingError("slices of several sizes or pixel spacings in one series", one.file)
        if one.space != first.space:
            raise ImagingError("slices of several frames of reference in one series", one.file)


def _stack(slices: Sequence[Slice], folder: Path) -> DicomSeries:
    """Order slices along their normal and check that they make a regular stack."""
    stack = stack_planes(
        np.array([one.position_mm for one in slices], np.float64),
        np.array([one.orientation for one in slices], np.float64),
        [one.file for one in slices],
    )
    here: dict[int, list[Slice]] = defaultdict(list)
    for place, one in zip(stack.places, slices, strict=True):
        here[int(place)].append(one)
    if len(here) < 2:
        raise ImagingError("has a single slice: not a volume", folder)
    notes = [note for same in here.values() for note in _doubles(same)]
    ordered = tuple(here[place][0] if place in here else None for place in range(max(here) + 1))
    empty = [place for place, one in enumerate(ordered) if one is None]
    notes += [(f"a slice is missing {_between(ordered, place)}", folder) for place in empty]
    first = slices[0]
    grid = Grid(
        size=(*first.size, len(ordered)),
        spacing_mm=(*first.spacing_mm, stack.step_mm),
        origin_mm=stack.origin_mm,
        direction=stack.direction,
        shear_mm=stack.shear_mm,
        space=first.space or None,
    )
    return DicomSeries(folder, ordered, grid, first.series, tuple(notes))


def _doubles(same: Sequence[Slice]) -> list[tuple[str, Path]]:
    """Return a note for each exact double of the first slice at one place; refuse others."""
    if len(same) < 2:
        return []
    whole = slice(None)
    first = read_hu(same[:1], whole, whole)
    for other in same[1:]:
        if not np.array_equal(first, read_hu([other], whole, whole)):
            raise ImagingError(
                f"two different slices lie at {spoken(other.position_mm)}:"
                " several phases or reconstructions in one series; leave one",
                other.file,
            )
    where = spoken(same[0].position_mm)
    return [(f"an exact double of the slice at {where} was passed over", s.file) for s in same[1:]]
