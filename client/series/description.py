"""What a series' description says: which phase, or why the series is none."""

import re
from dataclasses import dataclass
from typing import Literal

from client.series.timing import LAST_DELAYED_S, phase_at
from client.series.words import VOCABULARY, Term, simplify
from shared.tasks import Phase

Confidence = Literal["high", "medium", "low"]
# What a description decides: a phase, that it is none of the three, or nothing.
Decision = Literal["arterial", "portal_venous", "delayed", "passed over", "ambiguous"]

_SECONDS = re.compile(
    r"(?<![\d.a-z])((?:\d{2,3} ?[,;/+&-] ?)*\d{2,3}) ?(?:secs?|sek|seg|seconds?|s|秒)(?![a-z])"
    r"(?: ?-?(?:delay\w*|retard\w*))?"
)
_MINUTES = re.compile(
    r"(?<![\d.a-z])(\d{1,2}(?:[.,]\d)?) ?(?:mins?|minutes?|minut\w*|mn|分)(?![a-z])"
    r"(?: ?-?(?:delay\w*|retard\w*))?"
)
_ORDINAL = re.compile(
    r"(?<![a-z0-9])(?:\+ ?k ?([1-4])|(iii|iv|ii|i)\.? ?(?:faza|phase|fase)"
    r"|(?:faza|phase|fase) ?(iii|iv|ii|i|[1-4]))(?![a-z0-9]|\.\d)"
)
# "AP" is the abdomen and pelvis, or the arterial phase, or neither.
_AP = re.compile(r"(?<![a-z])ap(?![a-z])")
_KERNEL = re.compile(r"(?<![a-z0-9])b[67]\d[a-z](?![a-z0-9])")

_NO_VOLUME: dict[Term, str] = {
    "localiser": "a localiser",
    "monitoring": "bolus monitoring",
    "report": "a report or a picture of the screen",
    "projection": "a projection or rendering, not slices",
    "map": "a computed map, not plain CT",
    "intervention": "taken during an intervention",
    "correction": "a scan for attenuation correction",
    "lung": "reconstructed for the lung",
    "bone": "reconstructed for bone",
    "coronal": "a coronal reformat",
    "sagittal": "a sagittal reformat",
    "oblique": "an oblique reformat",
}
_ELSEWHERE: dict[Term, str] = {
    "chest": "of the chest",
    "urinary": "of the urinary tract",
    "vessels": "of the great vessels",
    "elsewhere": "of another part of the body",
    "pelvis": "of the pelvis",
}
_OF_ABDOMEN: frozenset[Term] = frozenset({"abdomen", "liver", "abdomen_pelvis"})
_BESIDE_ABDOMEN: frozenset[Term] = frozenset({"chest", "pelvis", "urinary"})
_PHASE_OF: dict[Term, Phase] = {
    "late_arterial": "arterial",
    "early_arterial": "arterial",
    "arterial": "arterial",
    "portal_venous": "portal_venous",
    "venous": "portal_venous",
    "delayed": "delayed",
}
_BETWEEN: dict[Term, str] = {
    "pancreatic": "the pancreatic phase lies between arterial and portal venous",
    "nephrographic": "the nephrographic phase lies between portal venous and delayed",
    "late_venous": "late venous lies between portal venous and delayed",
    "angiography": "an angiography comes before the liver's arterial phase, or is it",
}
_CODES = {"i": 1, "ii": 2, "iii": 3, "iv": 4}


@dataclass(frozen=True)
class Reading:
    """What was understood of a description.

    Attributes
    ----------
    terms : frozenset of str
    seconds : tuple of float
        Times after contrast that are told.
    ordinal : int or None
        Which of the contrast phases it calls itself, from 1.
    perhaps_arterial : bool
        "AP" stands in it, which is the abdomen and pelvis as often as the arterial phase.
    words : str
        What was understood, in the vocabulary's own terms: free text may hold a person's name,
        and no part of it is shown or kept.
    """

    terms: frozenset[Term]
    seconds: tuple[float, ...]
    ordinal: int | None
    perhaps_arterial: bool
    words: str


@dataclass(frozen=True)
class Verdict:
    """What a description decides on its own.

    Attributes
    ----------
    decision : str
    reason : str
    confidence : str
        Of a phase.
    """

    decision: Decision
    reason: str
    confidence: Confidence = "low"

    @property
    def phase(self) -> Phase | None:
        """The phase, where one is decided."""
        if self.decision == "passed over" or self.decision == "ambiguous":
            return None
        return self.decision


def read_description(text: str) -> Reading:
    """Return what is understood of a description; nothing else of it is kept."""
    rest = simplify(text)
    ordinals = [next(filter(None, match.groups())) for match in _ORDINAL.finditer(rest)]
    rest = _ORDINAL.sub(_taken, rest)
    seconds = [
        float(number)
        for match in _SECONDS.finditer(rest)
        for number in re.findall(r"\d+", match.group(1))
    ]
    rest = _SECONDS.sub(_taken, rest)
    seconds += [60 * float(m.group(1).replace(",", ".")) for m in _MINUTES.finditer(rest)]
    rest = _MINUTES.sub(_taken, rest)
    terms: set[Term] = {"lung"} if _KERNEL.search(rest) else set()
    for term, pattern in VOCABULARY:
        rest, count = pattern.subn(_taken, rest)
        if count:
            terms.add(term)
    ordinal = _CODES.get(ordinals[0]) or int(ordinals[0]) if len(ordinals) == 1 else None
    return _reading(terms, tuple(seconds), ordinal, bool(_AP.search(rest)))


def _taken(match: re.Match[str]) -> str:
    """Return what stands in the place of a word that was understood."""
    return "\x00" * len(match.group())


def _reading(
    terms: set[Term], seconds: tuple[float, ...], ordinal: int | None, ap: bool
) -> Reading:
    told = [term.replace("_", " ") for term, _ in VOCABULARY if term in terms]
    told += [f"{second:g} s" for second in seconds]
    told += [f"contrast phase {ordinal}"] if ordinal is not None else []
    told += ["AP"] if ap else []
    shown = [word for word in dict.fromkeys(told) if word != "filler"]
    return Reading(frozenset(terms), seconds, ordinal, ap, ", ".join(shown))


def judge_description(reading: Reading) -> Verdict:
    """Return what a description decides by itself.

    A phase needs a word or a time of its own; "venous" alone is the portal venous phase, as CT of
    the abdomen calls it. Two phases in one name, or a name without any, decide nothing.
    """
    for term, what in _NO_VOLUME.items():
        # A reconstruction for lung and liver both is made for the liver too.
        if term in reading.terms and not (term == "lung" and "liver" in reading.terms):
            return Verdict("passed over", what)
    if not reading.terms & _OF_ABDOMEN:
        for term, what in _ELSEWHERE.items():
            if term in reading.terms and not (reading.perhaps_arterial and term in _BESIDE_ABDOMEN):
                return Verdict("passed over", what)
    return _judge_contrast(reading)


def _judge_contrast(reading: Reading) -> Verdict:
    between = [text for term, text in _BETWEEN.items() if term in reading.terms]
    if between:
        return Verdict("ambiguous", between[0])
    if "excretory" in reading.terms:
        return Verdict("passed over", "the excretory phase, later than the delayed phase")
    if len(set(reading.seconds)) > 1:
        return Verdict("ambiguous", "names several times")
    phases = {_PHASE_OF[term] for term in reading.terms if term in _PHASE_OF}
    if len(phases) > 1 or (phases and "native" in reading.terms):
        return Verdict("ambiguous", "names several phases")
    if reading.seconds:
        return _judge_time(reading.seconds[0], phases)
    if phases:
        (phase,) = phases
        early = "early_arterial" in reading.terms and "late_arterial" not in reading.terms
        return Verdict(phase, "its description", "low" if early else "medium")
    if "with_and_without" in reading.terms:
        return Verdict("ambiguous", "names scans with and without contrast medium")
    if "native" in reading.terms:
        return Verdict("passed over", "native: without contrast medium")
    return Verdict("ambiguous", _silence(reading))


def _judge_time(seconds: float, phases: set[Phase]) -> Verdict:
    told = phase_at(seconds)
    text = f"{seconds:g} s after contrast in its description"
    if not phases:
        if seconds > LAST_DELAYED_S:
            return Verdict("passed over", "later than the delayed phase")
        if told.phase is None:
            return Verdict("ambiguous", f"{text}: {told.reason}")
        return Verdict(told.phase, text, "medium")
    (phase,) = phases
    if told.phase is not None and told.phase != phase:
        return Verdict("ambiguous", f"its description names another phase than its {seconds:g} s")
    return Verdict(phase, f"its description, with {seconds:g} s", "medium")


def _silence(reading: Reading) -> str:
    if reading.ordinal is not None:
        return f"calls itself contrast phase {reading.ordinal}, not which"
    if "several" in reading.terms:
        return "a scan of several phases, not which of them"
    if "enhanced" in reading.terms:
        return "with contrast medium, not in which phase"
    if reading.perhaps_arterial:
        return "AP may be the abdomen and pelvis or the arterial phase"
    return "its description does not tell the phase"
