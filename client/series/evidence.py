"""What speaks for a stack being one phase: its name, its time, its image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from client.imaging.dicom import open_files
from client.imaging.errors import ImagingError
from client.imaging.grid import Scan, Volume
from client.series.description import (
    Confidence,
    Reading,
    Verdict,
    judge_description,
    read_description,
)
from client.series.enhancement import Enhancement, SeenPhase, measure, seen_phase
from client.series.screen import reason_to_pass_over
from client.series.stacks import Stack
from client.series.timing import LATEST_S, elapsed_s, phase_at
from shared.tasks import LIVER_LABEL, TUMOUR_LABEL, Phase

# A tumour must lie in a scan to at least this part.
_LEAST_TUMOUR = 0.95
_SAMPLED_POINTS = 400
# Before this many seconds from the injection nothing has reached the liver.
_NATIVE_S = 5.0


@dataclass(frozen=True, eq=False)
class Candidate:
    """A stack that could be a phase, with all that speaks for one.

    Attributes
    ----------
    stack : Stack
    reading : Reading
        What its description was understood to say.
    verdict : Verdict
        What the description decides by itself.
    seconds : float or None
        After the start of the injection.
    enhancement : Enhancement or None
        None without a mask to measure by.
    liver_share : float
        The part of the mask's liver that it covers; 1 without a mask.
    """

    stack: Stack
    reading: Reading
    verdict: Verdict
    seconds: float | None
    enhancement: Enhancement | None
    liver_share: float

    @property
    def seen(self) -> SeenPhase | None:
        """The phase that the image shows beyond doubt."""
        return None if self.enhancement is None else seen_phase(self.enhancement)

    @property
    def timed(self) -> Phase | None:
        """The phase that its time means."""
        return None if self.seconds is None else phase_at(self.seconds).phase


@dataclass(frozen=True)
class Judgement:
    """Which phase a candidate is, how surely, and why; or why none."""

    phase: Phase | None
    confidence: Confidence | None
    evidence: str
    reason: str = ""
    native: bool = False


def weigh(candidate: Candidate) -> Judgement:
    """Bring name, time and image together.

    Two kinds of evidence that agree are sure (high), one alone is not so sure (medium), and one
    that something speaks against is used with doubt (low) or, where the image shows another
    phase than the name and nothing else helps, not at all. In the image aorta and liver decide:
    portal vein and kidneys confirm, raise a doubt, and decide together where all else is silent.
    """
    told, timed, seen = candidate.verdict.phase, candidate.timed, candidate.seen
    evidence = _evidence(candidate)
    native = seen == "native" and told is None and not _against(candidate, seen)
    if native or _before_contrast(candidate):
        return Judgement(None, None, evidence, "native: without contrast medium", native=True)
    votes = [phase for phase in (told, timed, seen) if phase is not None]
    together = None if candidate.enhancement is None else candidate.enhancement.decided_together
    if not votes:
        if together is not None:
            return Judgement(together, "low", evidence)
        return Judgement(None, None, evidence, candidate.verdict.reason)
    winner = max(votes, key=votes.count)
    organs = " and ".join(_against(candidate, winner))
    if organs and votes == [seen]:
        reason = f"its aorta and liver show {_text(winner)}, its {organs} another phase"
        return Judgement(None, None, evidence, reason)
    against = [phase for phase in votes if phase != winner]
    if winner == "native" or (against and votes.count(winner) == 1):
        return Judgement(None, None, evidence, f"its {_contradiction(told, timed, seen)}")
    if organs:
        return Judgement(winner, "low", f"{evidence}; but {organs}: another phase")
    if against:
        return Judgement(winner, "low", evidence)
    if votes.count(winner) > 1 or (seen is None and together == winner):
        return Judgement(winner, "high", evidence)
    alone: Confidence = candidate.verdict.confidence if told is not None else "medium"
    return Judgement(winner, alone, evidence)


def examine(
    stacks: Sequence[Stack], mask: Volume | None
) -> tuple[list[Candidate], dict[Stack, str]]:
    """Return the stacks that could be phases, and why each other one is passed over."""
    starts = _contrast_starts(stacks)
    points = None if mask is None else (_points(mask, TUMOUR_LABEL), _points(mask, LIVER_LABEL))
    candidates, passed = [], {}
    for stack in stacks:
        reading = read_description(stack.first.description)
        verdict = judge_description(reading)
        reason = reason_to_pass_over(stack)
        if reason is None and verdict.decision == "passed over":
            reason = verdict.reason
        scan = None
        if reason is None:
            try:
                scan = open_files(stack.files, stack.files[0].parent)
            except ImagingError as error:
                reason = f"cannot be opened: {error.reason}"
        if scan is not None and points is not None and _inside(scan, points[0]) < _LEAST_TUMOUR:
            reason = "does not cover the tumour of the mask"
        if scan is None or reason is not None:
            passed[stack] = reason or "cannot be opened"
            continue
        candidates.append(
            Candidate(
                stack,
                reading,
                verdict,
                _seconds(stack, starts),
                _look(scan, mask),
                1.0 if points is None else _inside(scan, points[1]),
            )
        )
    return candidates, passed


def _look(scan: Scan, mask: Volume | None) -> Enhancement | None:
    try:
        return None if mask is None else measure(scan, mask)
    except ImagingError:
        return None  # told when the whole region is read


def _contrast_starts(stacks: Sequence[Stack]) -> Mapping[str, float]:
    """Return each study's start of injection, where its headers agree on one."""
    told: dict[str, set[float]] = {}
    for stack in stacks:
        for header in stack.slices:
            if header.contrast_s is not None and header.is_image:
                told.setdefault(header.study_uid, set()).add(round(header.contrast_s))
    return {study: min(times) for study, times in told.items() if max(times) - min(times) <= 2}


def _seconds(stack: Stack, starts: Mapping[str, float]) -> float | None:
    start = starts.get(stack.first.study_uid)
    if start is None or stack.acquired_s is None:
        return None
    seconds = elapsed_s(start, stack.acquired_s)
    return seconds if abs(seconds) <= LATEST_S else None


def _before_contrast(candidate: Candidate) -> bool:
    return (
        candidate.seconds is not None
        and candidate.seconds < _NATIVE_S
        and candidate.verdict.phase is None
    )


def _points(mask: Volume, label: int) -> NDArray[np.float64]:
    """Return the positions of some voxels of a label, shape (n, 3), as (x, y, z) in mm."""
    found = np.argwhere(mask.voxels == label)
    chosen = found[:: max(1, len(found) // _SAMPLED_POINTS)][:, ::-1].astype(np.float64)
    return mask.grid.points_mm(chosen)


def _inside(scan: Scan, points_mm: NDArray[np.float64]) -> float:
    """Return the share of points that lie in a scan; 1 for no points."""
    if not len(points_mm):
        return 1.0
    indices = scan.grid.indices(points_mm)
    inside = (indices >= -0.5) & (indices <= np.array(scan.grid.size) - 0.5)
    return float(inside.all(axis=1).mean())


def _evidence(candidate: Candidate) -> str:
    told = []
    if candidate.verdict.phase is not None:
        told.append(f"name: {_text(candidate.verdict.phase)}")
    if candidate.seconds is not None:
        told.append(f"time: {candidate.seconds:.0f} s after contrast")
    if candidate.enhancement is not None:
        told.append(f"image: {candidate.enhancement}")
    return "; ".join(told) or "nothing tells the phase"


def _against(candidate: Candidate, phase: SeenPhase) -> tuple[str, ...]:
    return () if candidate.enhancement is None else candidate.enhancement.against(phase)


def _contradiction(told: Phase | None, timed: Phase | None, seen: SeenPhase | None) -> str:
    parts = [
        f"{what} {_text(phase)}"
        for what, phase in (("name says", told), ("time means", timed), ("image shows", seen))
        if phase is not None
    ]
    return ", its ".join(parts)


def _text(phase: SeenPhase) -> str:
    return phase.replace("_", " ")
