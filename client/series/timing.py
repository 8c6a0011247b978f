"""Times of acquisition relative to contrast medium, and the phase that a time means.

The windows follow LI-RADS (CT/MRI v2018: arterial phase before portal venous, delayed phase 2 to 5
minutes after injection) and the usual delays of CT of the liver, counted from the start of the
injection: late arterial 35 to 45 s, portal venous 60 to 80 s. Between the windows nothing is
decided.
"""

from dataclasses import dataclass

from shared.tasks import Phase

_DAY_S = 86400.0
# Further apart than this, a time of day belongs to another day.
_HALF_DAY_S = _DAY_S / 2

LAST_DELAYED_S = 600.0
_WINDOWS: tuple[tuple[Phase, float, float], ...] = (
    ("arterial", 15, 50),
    ("portal_venous", 55, 110),
    ("delayed", 120, LAST_DELAYED_S),
)
# What is later than this is no part of the same injection's examination.
LATEST_S = 1800.0


@dataclass(frozen=True)
class TimedPhase:
    """The phase of a time, or why it has none."""

    phase: Phase | None
    reason: str


def phase_at(seconds: float, margin_s: float = 0.0) -> TimedPhase:
    """Return the phase that so many seconds after the start of injection mean.

    Parameters
    ----------
    seconds : float
    margin_s : float
        How far the time may be off: only what holds within it is decided.
    """
    for phase, first, last in _WINDOWS:
        if first + margin_s <= seconds <= last - margin_s:
            return TimedPhase(phase, f"{seconds:.0f} s after contrast")
    if seconds > LAST_DELAYED_S:
        return TimedPhase(None, "later than the delayed phase")
    if seconds < _WINDOWS[0][1]:
        return TimedPhase(None, "before contrast medium reaches the liver")
    return TimedPhase(None, "a time between two phases")


def elapsed_s(start: float, end: float) -> float:
    """Return the seconds between two times of day, in (-12 h, 12 h], across midnight too."""
    difference = (end - start) % _DAY_S
    return difference - _DAY_S if difference > _HALF_DAY_S else difference


def time_of_day_s(text: object) -> float | None:
    """Return a DICOM TM or DT value's seconds since midnight; None where it holds no time."""
    value = str(text or "").strip().replace(":", "")
    digits, _, fraction = value.partition(".")
    fraction = "".join(c for c in fraction.split("+")[0].split("-")[0] if c.isdigit())
    digits = digits.split("+")[0].split("-")[0]
    if len(digits) >= 14:
        digits = digits[8:14]
    if len(digits) not in (4, 6) or not digits.isdigit():
        return None
    hours, minutes, seconds = int(digits[:2]), int(digits[2:4]), int(digits[4:] or 0)
    if hours > 23 or minutes > 59 or seconds > 60:
        return None
    return hours * 3600 + minutes * 60 + seconds + float(f"0.{fraction or 0}")
