"""What series of one study say of one another: order in time, names in a set."""

from collections.abc import Sequence

from client.series.evidence import Candidate, Judgement
from client.series.timing import elapsed_s
from shared.tasks import Phase

Judged = tuple[Candidate, Judgement]

# Seconds from the start of one phase to that of another, where no injection time is known.
_AFTER: dict[Phase, tuple[tuple[Phase, float, float], ...]] = {
    "arterial": (("portal_venous", 15, 60), ("delayed", 80, 560)),
    "portal_venous": (("arterial", -60, -15), ("delayed", 50, 540)),
}
# Terms that may stand beside "AP" where it is the name of a phase.
_BESIDE_AP = frozenset({"filler", "axial", "liver", "enhanced"})
# Reconstructions of one acquisition begin within this of one another.
_SAME_START_S = 5.0
_SAME_NUMBER_S = 20.0
_SAME_HU = 12.0


def relate(judged: Sequence[Judged]) -> list[Judged]:
    """Decide what the other series of a study decide for one that says nothing itself."""
    return [(candidate, _related(candidate, judgement, judged)) for candidate, judgement in judged]


def _related(candidate: Candidate, judgement: Judgement, judged: Sequence[Judged]) -> Judgement:
    if judgement.phase is not None or judgement.native or candidate.verdict.phase is not None:
        return judgement
    others = [
        (other, told)
        for other, told in judged
        if other is not candidate and other.stack.first.study_uid == candidate.stack.first.study_uid
    ]
    return (
        _by_time(candidate, judgement, others) or _by_set(candidate, judgement, others) or judgement
    )


def _by_time(
    candidate: Candidate, judgement: Judgement, others: Sequence[Judged]
) -> Judgement | None:
    start = candidate.stack.acquired_s
    found: set[Phase] = set()
    told = ""
    for other, known in others:
        if known.phase not in _AFTER or other.stack.acquired_s is None or start is None:
            continue
        if known.confidence == "low" or candidate.seconds is not None:
            continue
        seconds = elapsed_s(other.stack.acquired_s, start)
        for phase, first, last in _AFTER[known.phase]:
            if first <= seconds <= last:
                found.add(phase)
                told = f"{seconds:+.0f} s from the {known.phase.replace('_', ' ')} phase"
    if len(found) != 1:
        return None
    return Judgement(found.pop(), "low", f"{judgement.evidence}; order: {told}")


def _by_set(
    candidate: Candidate, judgement: Judgement, others: Sequence[Judged]
) -> Judgement | None:
    """Read "AP" as the arterial phase beside series that are named in the same short way."""
    reading = candidate.reading
    if not reading.perhaps_arterial or reading.terms - _BESIDE_AP:
        return None
    short = any(
        other.reading.terms & {"portal_venous", "venous"} and not other.reading.perhaps_arterial
        for other, _ in others
    )
    arterial = any(known.phase == "arterial" for _, known in others)
    if not short or arterial:
        return None
    return Judgement("arterial", "low", f"{judgement.evidence}; name: AP beside a venous phase")


def same_acquisition(one: Candidate, other: Candidate) -> bool:
    """Return whether two stacks are reconstructions of one acquisition, as far as can be told."""
    first, second = one.stack, other.stack
    numbers = (first.first.acquisition_number, second.first.acquisition_number)
    alike = None not in numbers and numbers[0] == numbers[1]
    if first.acquired_s is not None and second.acquired_s is not None:
        apart = abs(elapsed_s(first.acquired_s, second.acquired_s))
        return apart <= (_SAME_NUMBER_S if alike else _SAME_START_S)
    seen = (one.enhancement, other.enhancement)
    values = [(e.aorta_hu, e.liver_hu) for e in seen if e is not None]
    told = [pair for pair in values if None not in pair]
    if len(told) == 2:
        return all(
            abs((a or 0) - (b or 0)) <= _SAME_HU for a, b in zip(told[0], told[1], strict=True)
        )
    return alike
