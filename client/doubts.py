"""What of a patient's own files is doubtful, though a region can be made from them.

Told where a site is prepared, and again where a patient is predicted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from client.imaging.frame import Frame, tumour_overlap
from client.imaging.grid import Grid, Scan, Volume
from client.imaging.lattice import Near
from client.imaging.lesion import Lesion
from shared.reporting.names import PHASE_NAMES
from shared.tasks import LIVER_LABEL, TUMOUR_LABEL, Phase

# Liver with contrast medium, in whatever phase; beyond it a scan is hardly in Hounsfield units.
_LIVER_HU = (20.0, 200.0)
# Under the diaphragm a whole scan of the abdomen may cover no more than 0.7 of a region.
_LEAST_COVERED = 0.5
# A tumour that comes so near to where a scan ends is likely to go on.
_EDGE_MM = 1.0


@dataclass(frozen=True)
class Doubt:
    """One thing that is told.

    Attributes
    ----------
    text : str
        As it stands within a sentence, without a full stop.
    phase : Phase or None
        What it is about; None where it is the mask.
    """

    text: str
    phase: Phase | None = None

    @property
    def sentence(self) -> str:
        """The text as a sentence of its own."""
        return f"{self.text[0].upper()}{self.text[1:]}{'' if self.text.endswith('?') else '.'}"


def doubts_on_mask(mask: Volume) -> list[Doubt]:
    """Return what is told of a mask's labels; a tumour may outgrow the liver that is left."""
    # Plane by plane: of a whole mask a comparison would take as much memory again.
    liver, tumour = (
        sum(np.count_nonzero(plane == label) for plane in mask.voxels)
        for label in (LIVER_LABEL, TUMOUR_LABEL)
    )
    if not liver:
        text = (
            "the mask marks no liver: the tissue around the tumour stands for it; mark the liver"
            f" as label {LIVER_LABEL}"
        )
        return [Doubt(text)]
    if liver < tumour:
        return [Doubt("more is marked as tumour than as liver: are labels 1 and 2 swapped?")]
    return []


def doubts_on_scans(
    frame: Frame,
    scans: Mapping[Phase, Scan],
    near: Mapping[Phase, Near],
    hu: Mapping[Phase, NDArray[np.float32]],
) -> list[Doubt]:
    """Return what is told of the phases in a frame.

    Parameters
    ----------
    frame : Frame
    scans : mapping of Phase to Scan
        Those that are used.
    near : mapping of Phase to Near
        The parts of them that were read.
    hu : mapping of Phase to ndarray, shape (D, H, W)
        Their HU in the region.
    """
    told = []
    # Phases mostly have one grid: what follows from it is looked for once.
    covered = cache(lambda grid: _covered(grid, frame))
    cut = cache(lambda grid: _is_at_the_edge(grid, frame.lesion))
    for phase, scan in scans.items():
        name = PHASE_NAMES[phase]
        texts = (
            *_unlike_liver(hu[phase], frame, name),
            *_nothing_below_water(near[phase], name),
            *_not_covered(covered(scan.grid), name),
            *_at_the_edge(cut(scan.grid), name),
        )
        told += [Doubt(text, phase) for text in texts]
    return told


def _unlike_liver(hu: NDArray[np.float32], frame: Frame, name: str) -> list[str]:
    liver = hu[frame.labels == LIVER_LABEL]
    median = float(np.median(liver)) if len(liver) else None
    if median is None or _LIVER_HU[0] <= median <= _LIVER_HU[1]:
        return []
    return [
        f"the liver measures {median:.0f} HU in the {name} phase: not in Hounsfield units, without"
        " contrast medium, or not liver?"
    ]


def _nothing_below_water(near: Near, name: str) -> list[str]:
    if near.native.read(near.native.grid.whole).min() < 0:
        return []
    return [
        f"nothing around the tumour is below 0 HU in the {name} phase, as fat and air are: not in"
        " Hounsfield units, or the organ cut out?"
    ]


def _covered(grid: Grid, frame: Frame) -> float:
    everywhere = np.full(frame.lattice.shape, TUMOUR_LABEL, np.uint8)
    return tumour_overlap(grid, frame.lattice, everywhere)


def _not_covered(share: float, name: str) -> list[str]:
    if share >= _LEAST_COVERED:
        return []
    return [
        f"only {share:.0%} of the region around the tumour lies in the {name} scan; the network"
        " sees air in the rest"
    ]


def _is_at_the_edge(grid: Grid, lesion: Lesion) -> bool:
    centres = np.argwhere(lesion.tumour)[:, ::-1].astype(np.float64)
    faces = np.concatenate([centres - 0.5, centres + 0.5])
    indices = grid.indices(lesion.grid.points_mm(faces))
    near = _EDGE_MM / np.array(grid.spacing_mm) - 0.5
    return bool(((indices < near) | (indices > np.array(grid.size) - 1 - near)).any())


def _at_the_edge(cut: bool, name: str) -> list[str]:
    if not cut:
        return []
    return [f"the tumour reaches the edge of the {name} scan: part of it may be missing"]
