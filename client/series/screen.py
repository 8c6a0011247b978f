"""Which stacks are no candidates for a phase at all, by their headers alone."""

import re

import numpy as np

from client.series.stacks import Stack

# Fewer slices than this are no liver: bolus monitoring, a test, a part of a localiser.
_FEWEST_SLICES = 6
_LEAST_AXIAL = 0.8

_NOT_SLICES = {
    "LOCALIZER": "a localiser",
    "MIP": "a projection or rendering, not slices",
    "MAXIMUM INTENSITY PROJECTION": "a projection or rendering, not slices",
    "PROJECTION IMAGE": "a projection or rendering, not slices",
    "MIN_IP": "a projection or rendering, not slices",
    "VOLUME RENDERING": "a projection or rendering, not slices",
    "VRT": "a projection or rendering, not slices",
    "SCREEN SAVE": "a picture of the screen",
    "DOSE_INFO": "a dose report",
    "DOSE": "a dose report",
}
# Kernels that sharpen lung or bone, by the makers' own names.
_SHARP = re.compile(
    r"lung.*|bone.*|edge|b[6-8]\d[a-z]?|b[rlv][5-9]\d[a-z]?|i[67]\d[a-z]?|fc(?:3\d|5\d|8\d)|y[cde]",
    re.IGNORECASE,
)


def reason_to_pass_over(stack: Stack) -> str | None:
    """Return why a stack cannot be a phase of the liver, or None."""
    first = stack.first
    if first.is_capture:
        return "a secondary capture: pixels of a screen, which may show a name"
    if not first.is_image:
        return f"not CT: {first.modality if first.modality in _KNOWN else 'another kind of object'}"
    if any(header.burned_in for header in stack.slices):
        return "its pixels are said to hold burned-in annotations, which may name a person"
    for word, reason in _NOT_SLICES.items():
        if word in first.image_type:
            return reason
    if _SHARP.fullmatch(first.kernel.strip()):
        return "reconstructed with a sharp kernel, for lung or bone"
    return _geometry_to_pass_over(stack)


_KNOWN = frozenset(
    {"MR", "PT", "NM", "US", "SR", "SEG", "RTSTRUCT", "RTDOSE", "PR", "KO", "OT", "SC"}
)


def _geometry_to_pass_over(stack: Stack) -> str | None:
    first = stack.first
    if first.frames > 1:
        return None  # its geometry lies in its frames
    if stack.normal is None or any(len(header.position_mm) != 3 for header in stack.slices):
        return "without a position in space"
    if abs(stack.normal[2]) < _LEAST_AXIAL:
        side = int(np.argmax(np.abs(stack.normal)))
        return f"a {('sagittal', 'coronal', 'tilted')[side]} reformat, or a localiser"
    if len({header.position_mm for header in stack.slices}) < _FEWEST_SLICES:
        count = len(stack.slices)
        images = "1 image" if count == 1 else f"{count} images in few places"
        return f"{images}: a localiser, bolus monitoring or a test"
    if stack.doubled:
        return "slices lie in the same places twice and nothing in their headers tells them apart"
    return None
