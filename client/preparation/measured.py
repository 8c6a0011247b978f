"""Measures the facts of a region (`client.preparation.facts`) when it is prepared."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client.preparation.facts import PhaseFacts, RegionFacts
from client.region import Region
from client.series.choose import Choice
from client.series.headers import SliceHeader, dicom_candidates, read_headers
from client.series.timing import LATEST_S, elapsed_s
from shared.evidence.description import Maker
from shared.tasks import LIVER_LABEL, PHASES, TUMOUR_LABEL, Phase

# Fewer voxels than this say little of a tissue.
_FEWEST_VOXELS = 10


def facts_of(region: Region, files: Mapping[Phase, Path]) -> RegionFacts:
    """Measure the phases of a region; `files` holds one DICOM file a phase, where there is one."""
    headers = {phase: read_headers([file])[0] for phase, file in files.items()}
    return {
        phase: PhaseFacts(
            in_plane_mm=round(scan.grid.spacing_mm[0], 4),
            slice_mm=round(scan.grid.spacing_mm[2], 4),
            liver_hu=_median(region.hu[phase], region.roi.mask == LIVER_LABEL),
            tumour_hu=_median(region.hu[phase], region.roi.mask == TUMOUR_LABEL),
            seconds=_seconds(headers.get(phase, ())),
            maker=_maker(headers.get(phase)),
        )
        for phase, scan in (
            (phase, region.scans[phase]) for phase in PHASES if phase in region.scans
        )
    }


def first_files(folder: Path, choice: Choice | None) -> dict[Phase, Path]:
    """Return one DICOM file of each phase of a patient's folder, where there is one."""
    if choice is not None:
        return {phase: files[0] for phase, files in choice.phases.items()}
    folders = {phase: folder / phase for phase in PHASES}
    found = {phase: dicom_candidates(path) for phase, path in folders.items() if path.is_dir()}
    return {phase: files[0] for phase, files in found.items() if files}


def _median(hu: NDArray[np.float32], where: NDArray[np.bool_]) -> float | None:
    if where.sum() < _FEWEST_VOXELS:
        return None
    return round(float(np.median(hu[where])), 1)


def _maker(headers: Sequence[SliceHeader] | None) -> Maker:
    if headers is None:
        return "no-header"
    return headers[0].maker if headers else "unknown"


def _seconds(headers: Sequence[SliceHeader]) -> float | None:
    if not headers or headers[0].contrast_s is None or headers[0].acquired_s is None:
        return None
    seconds = elapsed_s(headers[0].contrast_s, headers[0].acquired_s)
    return round(seconds, 1) if abs(seconds) <= LATEST_S else None
