"""Which series of a patient's folder are the three phases, or why a phase is set aside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from client.imaging.grid import Volume
from client.series.evidence import Candidate, Judgement, examine, weigh
from client.series.headers import SliceHeader
from client.series.relations import Judged, relate, same_acquisition
from client.series.rows import SeriesRow, row_of, unreadable_row
from client.series.stacks import Stack, find_stacks
from client.series.timing import elapsed_s
from shared.tasks import PHASES, Phase

# The usual seconds after the start of injection; of two scans of one phase the nearer is taken.
_USUAL_S: dict[Phase, float] = {"arterial": 40, "portal_venous": 70, "delayed": 180}
_SURENESS = {"high": 2, "medium": 1, "low": 0, None: -1}
# Slices from 1 to 3 mm carry a region of 3 mm best: thinner ones are noise, thicker ones blur.
_BEST_THICKNESS_MM = (1.0, 3.0)
NO_SERIES = "none"


@dataclass(frozen=True)
class Choice:
    """What was chosen of a patient's series.

    Attributes
    ----------
    phases : dict of Phase to tuple of Path
        The files of each phase that was found.
    rows : tuple of SeriesRow
        Every series, with what became of it.
    problems : tuple of (reason, phase)
        Phases that were set aside because no series is surely theirs.
    """

    phases: dict[Phase, tuple[Path, ...]]
    rows: tuple[SeriesRow, ...]
    problems: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _Outcome:
    """What became of the candidates of one phase."""

    chosen: Candidate | None
    left: dict[Stack, tuple[str, str]]
    problem: str = ""


def choose_phases(
    headers: Sequence[SliceHeader],
    unreadable: int,
    mask: Volume | None,
    *,
    mask_study: str | None = None,
    named: Mapping[Phase, str] | None = None,
) -> Choice:
    """Choose the three phases.

    Parameters
    ----------
    headers : sequence of SliceHeader
        Of all the patient's DICOM files.
    unreadable : int
        How many files are no readable DICOM.
    mask : Volume or None
        The patient's label map; without it the image cannot help.
    mask_study : str, optional
        The study that the mask belongs to, where it says so.
    named : mapping of Phase to str, optional
        What a person wrote: a series' name in ``series.csv``, or ``none``.
    """
    stacks = find_stacks(headers)
    by_name = {stack.name: stack for stack in stacks}
    named = dict(named or {})
    fixed = {phase: by_name[name] for phase, name in named.items() if name in by_name}
    problems: list[tuple[str, str]] = [
        (f"phases.csv names a series that is not there for the {_text(phase)} phase", phase)
        for phase, name in named.items()
        if name != NO_SERIES and name not in by_name
    ]
    candidates, passed = examine([s for s in stacks if s not in fixed.values()], mask)
    studies = {stack.first.study_uid for stack in fixed.values()}
    if not studies and mask_study:
        studies = {mask_study}
    judged = relate([(candidate, weigh(candidate)) for candidate in candidates])
    judged, elsewhere = _of_studies(judged, studies)
    left = {stack: ("passed over", reason) for stack, reason in passed.items()} | elsewhere
    chosen, told, outcomes = _choose_each(judged, named)
    left |= outcomes
    problems += told
    chosen, told, outcomes = _check_order(chosen)
    left |= outcomes
    problems += told
    rows = _rows(stacks, judged, chosen, fixed, left)
    if unreadable:
        rows.append(unreadable_row(unreadable))
    files = {phase: stack.files for phase, stack in fixed.items()}
    files |= {phase: candidate.stack.files for phase, (candidate, _) in chosen.items()}
    ordered = {phase: files[phase] for phase in PHASES if phase in files}
    return Choice(ordered, tuple(rows), tuple(problems))


def _of_studies(
    judged: Sequence[Judged], studies: set[str]
) -> tuple[list[Judged], dict[Stack, tuple[str, str]]]:
    """Keep the candidates of one study: phases of two examinations are no triphasic scan."""
    patients = {candidate.stack.first.patient for candidate, known in judged if known.phase}
    if len(patients) > 1:
        reason = f"series of {len(patients)} patients in one folder: leave those of this patient"
        return [], {candidate.stack: ("set aside", reason) for candidate, _ in judged}
    present = {candidate.stack.first.study_uid for candidate, known in judged if known.phase}
    if studies & present:
        kept, reason = studies, "of another study than the mask, or than the series named by hand"
        decision = "passed over"
    elif len(present) > 1:
        kept, decision = set[str](), "set aside"
        reason = (
            f"{len(present)} studies in one folder, and nothing tells which the mask belongs to:"
            " leave one, or name the series in phases.csv"
        )
    else:
        return list(judged), {}
    left = {
        candidate.stack: (decision, reason)
        for candidate, _ in judged
        if candidate.stack.first.study_uid not in kept
    }
    return [pair for pair in judged if pair[0].stack not in left], left


def _choose_each(
    judged: Sequence[Judged], named: Mapping[Phase, str]
) -> tuple[dict[Phase, Judged], list[tuple[str, str]], dict[Stack, tuple[str, str]]]:
    chosen: dict[Phase, Judged] = {}
    problems: list[tuple[str, str]] = []
    left: dict[Stack, tuple[str, str]] = {}
    undecided = 0
    for candidate, known in judged:
        if known.phase is None:
            decision = "passed over" if known.native else "set aside"
            undecided += not known.native
            left[candidate.stack] = (decision, known.reason)
    for phase in PHASES:
        of_phase = [pair for pair in judged if pair[1].phase == phase]
        if phase in named:
            text = "another series was named for this phase in phases.csv"
            left |= {candidate.stack: ("passed over", text) for candidate, _ in of_phase}
            continue
        outcome = _best(phase, of_phase)
        left |= outcome.left
        if outcome.chosen is not None:
            chosen[phase] = next(pair for pair in of_phase if pair[0] is outcome.chosen)
        elif outcome.problem:
            problems.append((outcome.problem, phase))
        elif undecided:
            problems.append((f"no series is surely this phase; {undecided} may be one", phase))
    return chosen, problems, left


def _best(phase: Phase, judged: Sequence[Judged]) -> _Outcome:
    """Choose among the series of one phase."""
    if not judged:
        return _Outcome(None, {})
    left: dict[Stack, tuple[str, str]] = {}
    pool = list(judged)
    late = [pair for pair in pool if "late_arterial" in pair[0].reading.terms]
    if late:
        left |= _pass(pool, late, "an earlier arterial scan: the late one is preferred")
        pool = late
    surest = max(_SURENESS[known.confidence] for _, known in pool)
    groups = _acquisitions([candidate for candidate, _ in pool])
    if len(groups) > 1:
        sure = {c.stack for c, known in pool if _SURENESS[known.confidence] == surest}
        surer = [group for group in groups if any(c.stack in sure for c in group)]
        group = surer[0] if len(surer) == 1 else _nearest(phase, groups)
        if group is None:
            text = f"{len(groups)} acquisitions may be the {_text(phase)} phase: name one"
            return _Outcome(
                None,
                left | {c.stack: ("set aside", f"{text} in phases.csv") for c, _ in pool},
                f"{text} in phases.csv",
            )
        kept = [pair for pair in pool if pair[0] in group]
        left |= _pass(pool, kept, "another acquisition is more surely this phase")
        pool = kept
    best = min((candidate for candidate, _ in pool), key=_rank)
    kept = [pair for pair in pool if pair[0] is best]
    text = f"another reconstruction of the same acquisition; {best.stack.name} is preferred"
    return _Outcome(best, left | _pass(pool, kept, text))


def _pass(
    pool: Sequence[Judged], kept: Sequence[Judged], reason: str
) -> dict[Stack, tuple[str, str]]:
    stay = {candidate.stack for candidate, _ in kept}
    return {c.stack: ("passed over", reason) for c, _ in pool if c.stack not in stay}


def _acquisitions(candidates: Sequence[Candidate]) -> list[list[Candidate]]:
    groups: list[list[Candidate]] = []
    for candidate in candidates:
        for group in groups:
            if same_acquisition(group[0], candidate):
                group.append(candidate)
                break
        else:
            groups.append([candidate])
    return groups


def _nearest(phase: Phase, groups: Sequence[Sequence[Candidate]]) -> Sequence[Candidate] | None:
    """Return the acquisition nearest to the phase's usual time, where all times are known."""
    away = []
    for group in groups:
        seconds = group[0].seconds
        if seconds is None:
            return None
        away.append(abs(seconds - _USUAL_S[phase]))
    return groups[away.index(min(away))]


def _rank(candidate: Candidate) -> tuple[object, ...]:
    """Order reconstructions of one acquisition, the best first."""
    first = candidate.stack.first
    low, high = _BEST_THICKNESS_MM
    thickness = first.thickness_mm or 0.0
    return (
        "DERIVED" in first.image_type,
        bool(candidate.reading.terms & {"reformat", "oblique"}),
        -round(candidate.liver_share, 1),
        max(low - thickness, thickness - high, 0.0),
        first.series_number or 0,
        candidate.stack.name,
    )


def _check_order(
    chosen: Mapping[Phase, Judged],
) -> tuple[dict[Phase, Judged], list[tuple[str, str]], dict[Stack, tuple[str, str]]]:
    """Set phases aside that were acquired in another order than their names say.

    Phases on which two kinds of evidence agree stay, with doubt: then the times are wrong.
    """
    kept = dict(chosen)
    problems: list[tuple[str, str]] = []
    left: dict[Stack, tuple[str, str]] = {}
    text = "acquired in another order than the phases come"
    for earlier, later in pairwise(PHASES):
        if earlier not in chosen or later not in chosen:
            continue
        times = [chosen[phase][0].stack.acquired_s for phase in (earlier, later)]
        if times[0] is None or times[1] is None or elapsed_s(times[0], times[1]) > 0:
            continue
        for phase in (earlier, later):
            candidate, known = chosen[phase]
            if known.confidence == "high":
                doubt = f"{known.evidence}; but {text}"
                kept[phase] = (candidate, replace(known, confidence="low", evidence=doubt))
            elif phase in kept:
                del kept[phase]
                left[candidate.stack] = ("set aside", text)
                problems.append((text, phase))
    return kept, problems, left


def _rows(
    stacks: Sequence[Stack],
    judged: Sequence[Judged],
    chosen: Mapping[Phase, Judged],
    fixed: Mapping[Phase, Stack],
    left: Mapping[Stack, tuple[str, str]],
) -> list[SeriesRow]:
    known = {candidate.stack: judgement for candidate, judgement in judged}
    used = {candidate.stack: (phase, told) for phase, (candidate, told) in chosen.items()}
    by_hand = Judgement(None, "high", "named in phases.csv")
    used |= {stack: (phase, by_hand) for phase, stack in fixed.items()}
    studies = sorted({stack.first.study_uid for stack in stacks})
    rows = []
    for stack in stacks:
        study = studies.index(stack.first.study_uid) + 1
        if stack in used:
            phase, judgement = used[stack]
            rows.append(row_of(stack, study, judgement, phase=phase, decision="used"))
        else:
            decision, reason = left.get(stack, ("passed over", "not needed"))
            judgement = known.get(stack, Judgement(None, None, ""))
            rows.append(row_of(stack, study, judgement, decision=decision, reason=reason))
    return rows


def _text(phase: Phase) -> str:
    return phase.replace("_", " ")
