"""The region of interest: where it lies, and its voxels from the native grids in one step.

The rule: the region is centred on the bounding box of the largest tumour (connected voxels of
label 2), its axes are those of the patient (LPS), and it has `shape` voxels of `spacing_mm`.
Where the bounding box and `margin_mm` on every side do not fit, the spacing grows until they
do, and the region says so: physical scale is never lost. Other tumours inside keep label 2.
Where the scan ends, air (the window's floor) is filled in.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from client.imaging.affine import IDENTITY, Affine
from client.imaging.errors import ImagingError
from client.imaging.grid import Grid, Scan, Volume
from client.imaging.lattice import Lattice, Near, read_near
from client.imaging.lesion import Lesion
from client.imaging.liver_surface import nodularity_mm
from client.imaging.measurements import measure
from client.imaging.roi import Roi
from client.imaging.tumours import Tumours
from shared.preprocessing import PreprocessingSettings
from shared.tasks import LIVER_LABEL, PHASES, TUMOUR_LABEL, Phase

FloatArray = NDArray[np.float64]

# Fewer liver voxels than this in the region say little about the liver's attenuation.
_FEWEST_REFERENCE_VOXELS = 100
# A tumour must lie in a scan to at least this part for the two to belong together.
_LEAST_OVERLAP = 0.95
# Fat, liver and contrast medium are further apart, and noise alone nearly is.
_LEAST_RANGE_HU = 50.0
# Medians of what a mask says is liver or tumour: steatosis and enhancement are allowed for, and
# the iodised oil of an earlier embolisation in a tumour.
_TISSUE_HU = (
    (LIVER_LABEL, "liver", -50.0, 290.0),
    (TUMOUR_LABEL, "tumour", -50.0, float("inf")),
)


@dataclass(frozen=True, eq=False)
class PhaseInFrame:
    """A phase brought into a patient's frame.

    Attributes
    ----------
    hu : ndarray, shape (D, H, W), float32
        On the region's lattice, clipped to the window.
    lesion_hu : ndarray, float32
        On the grid of the lesion, clipped likewise.
    """

    hu: NDArray[np.float32]
    lesion_hu: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Frame:
    """Where a patient's region lies, and what its mask says: phases are brought into it.

    Attributes
    ----------
    lattice : Lattice
    labels : ndarray, shape (D, H, W), uint8
        The mask on the lattice.
    lesion : Lesion
        The largest tumour on the mask's own grid.
    liver_nodularity_mm : float
    settings : PreprocessingSettings
    space : str or None
        The mask's frame of reference, where it tells one.
    """

    lattice: Lattice
    labels: NDArray[np.uint8]
    lesion: Lesion
    liver_nodularity_mm: float
    settings: PreprocessingSettings
    space: str | None = None

    @classmethod
    def around_tumour(cls, mask: Volume, settings: PreprocessingSettings, file: Path) -> "Frame":
        """Place the frame by a mask; `file` is named in errors.

        Raises
        ------
        ImagingError
            No voxel of the mask is tumour, or so few that none is left in the region.
        """
        tumours = Tumours.find(mask.voxels, file)
        lattice = tumour_lattice(mask.grid, tumours, settings)
        box = lattice.box(mask.grid) or mask.grid.whole
        near = mask.grid.place(mask.read(box), box)
        way = mask.grid.upright
        labels = lattice.sample(near, way, sitk.sitkNearestNeighbor, 0).astype(np.uint8)
        if not (labels == TUMOUR_LABEL).any():
            raise ImagingError(
                f"the tumour is smaller than a voxel of {lattice.spacing_mm:g} mm: a stray mark?",
                file,
            )
        lesion = Lesion.of(mask, tumours)
        return cls(lattice, labels, lesion, nodularity_mm(mask), settings, mask.grid.space)

    def bring_in(self, scan: Scan, file: Path) -> PhaseInFrame:
        """Return a phase in the frame.

        Raises
        ------
        ImagingError
            As `read` and `finish`.
        """
        return self.finish(self.read(scan, file), file)

    def read(self, scan: Scan, file: Path, reach_mm: float = 0.0) -> Near:
        """Return the part of a phase in the frame and as far around it.

        Raises
        ------
        ImagingError
            The tumour lies outside the scan, the mask was drawn on another study, or the scan is
            damaged.
        """
        if self.space and scan.grid.space and self.space != scan.grid.space:
            raise ImagingError(
                "the mask has another frame of reference: it was drawn on another study", file
            )
        if tumour_overlap(scan.grid, self.lattice, self.labels) < _LEAST_OVERLAP:
            raise ImagingError(
                "the tumour of the mask lies outside this scan: another patient, another study,"
                " or a mask without its true position",
                file,
            )
        wide = self.lattice.wider(reach_mm)
        return read_near(scan, wide, self.settings.window_hu, self.lesion.grid.corners_mm)

    def finish(self, near: Near, file: Path, motion: Affine = IDENTITY) -> PhaseInFrame:
        """Return a phase in the frame, once it is known to fit; `motion` leads into the scan.

        Raises
        ------
        ImagingError
            The mask lies on what is neither liver nor tumour, or the values are no HU.
        """
        _check_range(near.native, file)
        hu = near.on(self.lattice, motion)
        _check_tissue(hu, self.labels, file)
        lesion_hu = self.lesion.sample(near.native, self.settings.window_hu, motion)
        return PhaseInFrame(hu, lesion_hu)

    def roi(self, phases: Mapping[Phase, PhaseInFrame]) -> Roi:
        """Return the region from the phases that were brought in."""
        stacked = np.zeros((len(PHASES), *self.settings.shape), np.float16)
        present = np.zeros(len(PHASES), np.uint8)
        for index, phase in enumerate(PHASES):
            if phase in phases:
                stacked[index] = normalise(phases[phase].hu, self.labels, self.settings)
                present[index] = 1
        lesion_hu = {name: phase.lesion_hu for name, phase in phases.items()}
        measured = measure(self.lesion, self.liver_nodularity_mm, lesion_hu)
        return Roi(stacked, self.labels, present, self.lattice.spacing_mm, measured)


def extract_roi(
    phases: Mapping[Phase, sitk.Image], mask: sitk.Image, settings: PreprocessingSettings
) -> Roi:
    """Cut a patient's region of interest from images in memory.

    Parameters
    ----------
    phases : mapping of Phase to Image
        In HU, each on its own grid.
    mask : Image
        Label map on any grid in the same patient's space.
    settings : PreprocessingSettings

    Raises
    ------
    ImagingError
        No tumour in the mask, or a tumour that lies outside a scan.
    """
    frame = Frame.around_tumour(Volume.of(mask), settings, Path("mask"))
    return frame.roi(
        {name: frame.bring_in(Volume.of(image), Path(name)) for name, image in phases.items()}
    )


def tumour_lattice(grid: Grid, tumours: Tumours, settings: PreprocessingSettings) -> Lattice:
    """Return the region's grid around the largest tumour of a mask on some grid."""
    low, high = tumours.bounds(tumours.largest)
    ends = np.stack(np.meshgrid(*zip(low - 0.5, high + 0.5, strict=True)), -1).reshape(-1, 3)
    corners = grid.points_mm(ends[:, ::-1])
    least, most = corners.min(axis=0), corners.max(axis=0)
    needed_mm = most - least + 2 * settings.margin_mm
    spacing_mm = max(settings.spacing_mm, float((needed_mm / settings.shape[::-1]).max()))
    x, y, z = (least + most) / 2
    return Lattice((float(x), float(y), float(z)), spacing_mm, settings.shape)


def tumour_overlap(grid: Grid, lattice: Lattice, labels: NDArray[np.uint8]) -> float:
    """Return the share of the region's tumour voxels whose centre lies in a scan."""
    indices = grid.indices(lattice.points_mm(labels == TUMOUR_LABEL))
    inside = (indices >= -0.5) & (indices <= np.array(grid.size) - 0.5)
    return float(inside.all(axis=1).mean())


def sample_phase(
    scan: Scan, lattice: Lattice, window_hu: tuple[float, float]
) -> NDArray[np.float32]:
    """Return a phase on the region's grid in HU, clipped to the window, shape (D, H, W)."""
    return read_near(scan, lattice, window_hu).on(lattice)


def _check_range(scan: Scan, file: Path) -> None:
    """Refuse values that are alike all around a tumour, as of a volume scaled to 0 and 1."""
    span = float(np.ptp(scan.read(scan.grid.whole)))
    if span < _LEAST_RANGE_HU:
        raise ImagingError(
            f"all values around the tumour lie within {span:.3g}: its values are not HU but scaled;"
            " give the original",
            file,
        )


def _check_tissue(hu: NDArray[np.float32], labels: NDArray[np.uint8], file: Path) -> None:
    """Refuse a mask whose liver or tumour is mostly air, fat or bone in a scan.

    It finds masks far off their place, and values that are no HU. A flipped mask mostly lies on
    other soft tissue: against that only true positions help, and a person who looks.
    """
    for label, name, low, high in _TISSUE_HU:
        inside = hu[labels == label]
        median = float(np.median(inside)) if len(inside) else None
        if median is not None and not low < median < high:
            raise ImagingError(
                f"the mask's {name} measures {median:.0f} HU here: the mask is moved or another"
                " patient's, or the values are not HU",
                file,
            )


def normalise(
    hu: NDArray[np.float32], labels: NDArray[np.uint8], settings: PreprocessingSettings
) -> NDArray[np.float32]:
    """Return intensities near unit scale from HU within the window.

    The liver's own median is robust to vessels; where the region holds too little liver, the
    tissue around the tumour stands for it.
    """
    low, high = settings.window_hu
    if settings.normalisation == "window":
        return (2 * (hu - low) / (high - low) - 1).astype(np.float32)
    reference = labels == LIVER_LABEL
    if reference.sum() < _FEWEST_REFERENCE_VOXELS:
        tumour = labels == TUMOUR_LABEL
        reference = ndimage.binary_dilation(tumour, iterations=3) & ~tumour
    liver_hu = np.median(hu[reference]) if reference.any() else np.float32((low + high) / 2)
    return ((hu - liver_hu) / settings.scale_hu).astype(np.float32)
