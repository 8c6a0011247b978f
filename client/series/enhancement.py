"""What contrast medium has reached, seen in the image: liver, aorta, portal vein and kidneys.

Where names and times do not tell the phase, the image often does: the aorta is far brighter than
the liver in the arterial phase, both are bright in the portal venous phase, and nearly alike in
the delayed one (CT/MRI LI-RADS v2018 describes the phases by the same vessels). The limits below
leave gaps between the phases: in a gap nothing is decided.

Aorta and liver come first. Portal vein and kidneys are harder to find: they confirm, they raise
a doubt, and only together they decide where aorta and liver leave a gap.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from client.imaging.grid import Scan, Volume
from client.series import kidneys as renal
from client.series import portal_vein
from client.series.aorta import aorta_hu, spinal_canal_mm
from client.series.kidneys import Kidneys
from client.series.levels import Level, distance_mm, liver_levels, read_below
from shared.tasks import LIVER_LABEL, TUMOUR_LABEL, Phase

SeenPhase = Phase | Literal["native"]

_LEAST_LIVER_MM2 = 1500.0


@dataclass(frozen=True)
class Enhancement:
    """Attenuation of organs in one scan; None where it cannot be told."""

    liver_hu: float | None
    aorta_hu: float | None
    portal_hu: float | None = None
    kidneys: Kidneys | None = None

    def __str__(self) -> str:
        measured = {
            "aorta": self.aorta_hu,
            "liver": self.liver_hu,
            "portal vein": self.portal_hu,
        }
        told = [f"{organ} {hu:.0f} HU" for organ, hu in measured.items() if hu is not None]
        if self.kidneys is not None:
            told.append(str(self.kidneys))
        return ", ".join(told) or "neither liver nor aorta can be told in the image"

    @cached_property
    def others(self) -> Mapping[str, frozenset[Phase]]:
        """The phases that portal vein and kidneys may be, of those that tell any."""
        aorta, liver = self.aorta_hu, self.liver_hu
        told: dict[str, frozenset[Phase] | None] = {}
        if self.portal_hu is not None and aorta is not None and liver is not None:
            told["portal vein"] = portal_vein.possible_phases(self.portal_hu, aorta, liver)
        if self.kidneys is not None:
            told["kidneys"] = renal.possible_phases(self.kidneys, aorta)
        return {organ: phases for organ, phases in told.items() if phases is not None}

    @property
    def decided_together(self) -> Phase | None:
        """The one phase that portal vein and kidneys leave, or None."""
        if len(self.others) < 2:
            return None
        common = frozenset.intersection(*self.others.values())
        return next(iter(common)) if len(common) == 1 else None

    def against(self, phase: SeenPhase) -> tuple[str, ...]:
        """Return the organs that speak against a phase, of portal vein and kidneys."""
        return tuple(organ for organ, phases in self.others.items() if phase not in phases)


def seen_phase(enhancement: Enhancement) -> SeenPhase | None:
    """Return the phase that aorta and liver show beyond doubt, or None."""
    aorta, liver = enhancement.aorta_hu, enhancement.liver_hu
    if aorta is None or liver is None:
        return None
    above = aorta - liver
    if aorta < 75 and liver < 80:
        return "native"
    if aorta >= 180 and above >= 120:
        return "arterial"
    if 140 <= aorta < 185 and liver >= 80 and 25 <= above < 105:
        return "portal_venous"
    if 80 <= aorta < 125 and liver >= 60 and above < 40:
        return "delayed"
    return None


def measure(scan: Scan, mask: Volume) -> Enhancement:
    """Measure a scan at a few levels of the liver and below; only their slices are decoded.

    Parameters
    ----------
    scan : Scan
        An axial CT in HU.
    mask : Volume
        The patient's label map, on any grid in the same space.

    Raises
    ------
    ImagingError
        A slice of the liver is damaged.
    """
    levels = liver_levels(scan, mask)
    slices = [Level.read(scan, level, mask) for level in levels]
    liver = np.concatenate([s.liver_values() for s in slices]) if slices else np.zeros(0)
    area_mm2 = len(liver) * slices[0].spacing_mm ** 2 if slices else 0.0
    liver_hu = float(np.median(liver)) if area_mm2 >= _LEAST_LIVER_MM2 else None
    canal = _canal_mm(slices)
    if canal is None:
        return Enhancement(liver_hu, None)
    found = Enhancement(liver_hu, _aorta(slices, canal))
    if liver_hu is None:
        return found
    # From the highest to the lowest.
    downwards = slices if scan.grid.direction[8] < 0 else slices[::-1]
    return Enhancement(
        liver_hu,
        found.aorta_hu,
        _portal_vein(slices, canal, liver_hu),
        _kidneys(
            [*downwards, *read_below(scan, levels, mask)],
            canal,
            liver_hu,
            distance_mm(scan, levels),
        ),
    )


def _canal_mm(slices: list[Level]) -> tuple[float, float] | None:
    canals = [spinal_canal_mm(s.hu, s.x_mm, s.y_mm, s.spacing_mm) for s in slices]
    found = np.array([canal for canal in canals if canal is not None])
    if len(found) < 2:
        return None
    x, y = np.median(found, axis=0).tolist()
    return x, y


def _aorta(slices: list[Level], canal: tuple[float, float]) -> float | None:
    canal_x, canal_y = canal
    values = [aorta_hu(s.hu, s.x_mm - canal_x, s.y_mm - canal_y, s.spacing_mm) for s in slices]
    told = [value for value in values if value is not None]
    if len(told) < max(3, len(slices) // 2):
        return None
    # The same vessel is alike at every level; where it is not, something else was found.
    middle = float(np.median(told))
    close = [value for value in told if abs(value - middle) <= max(20.0, 0.15 * middle)]
    return middle if len(close) >= 0.6 * len(told) else None


def _portal_vein(slices: list[Level], canal: tuple[float, float], liver_hu: float) -> float | None:
    _, y = canal
    return portal_vein.of_levels(
        [
            portal_vein.portal_vein_hu(s.hu, s.labels, y - s.y_mm, s.spacing_mm, liver_hu)
            for s in slices
        ]
    )


def _kidneys(
    slices: list[Level], canal: tuple[float, float], liver_hu: float, distance: float
) -> Kidneys | None:
    x, y = canal
    sides = []
    for side in (-1.0, 1.0):
        cuts = []
        for s in slices:
            taken = (s.labels == LIVER_LABEL) | (s.labels == TUMOUR_LABEL)
            aside, forward = side * (s.x_mm - x), y - s.y_mm
            cuts.append(renal.kidney_cut(s.hu, taken, aside, forward, s.spacing_mm, liver_hu))
        sides.append(cuts)
    return renal.kidneys_of(sides, distance)
