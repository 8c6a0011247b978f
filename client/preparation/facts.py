"""What is known of each prepared region: people look through it, sums tell it, no model sees it.

`client.preparation.measured` finds it out.
"""

from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from shared.evidence.description import Maker
from shared.tasks import Phase


@dataclass(frozen=True)
class PhaseFacts:
    """One phase of a region.

    Attributes
    ----------
    in_plane_mm, slice_mm : float
        Distance of voxels in a slice, and of slices, as acquired.
    liver_hu, tumour_hu : float or None
        Medians in the region; None where it holds too little of either.
    seconds : float or None
        From the start of the injection to the first file, where the headers tell.
    maker : Maker
        Of the scanner.
    """

    in_plane_mm: float
    slice_mm: float
    liver_hu: float | None
    tumour_hu: float | None
    seconds: float | None
    maker: Maker = "no-header"


RegionFacts = dict[Phase, PhaseFacts]
_FACTS: TypeAdapter[RegionFacts] = TypeAdapter(RegionFacts)


def to_text(facts: RegionFacts) -> str:
    """Return facts as JSON."""
    return _FACTS.dump_json(facts).decode()


def from_text(text: str) -> RegionFacts:
    """Return facts from JSON; none where it holds none."""
    try:
        return _FACTS.validate_json(text)
    except ValidationError:
        return {}


def maker_of_patient(facts: RegionFacts) -> Maker:
    """Return who made a patient's scanner; ``other`` where phases are of several makers."""
    makers = {phase.maker for phase in facts.values()}
    named = makers - {"unknown", "no-header"}
    if not named:
        return "unknown" if "unknown" in makers else "no-header"
    return named.pop() if len(named) == 1 else "other"
