"""What did not go as planned in a run, so far as its records know."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.reporting.content import ReportContent
from shared.reporting.estimates import single_sites
from shared.reporting.names import printable, site_of

# The protocol's codes (`shared.protocol.ErrorCode`) in words.
_WORDS = {
    "UNKNOWN_VERSION": "speaks another version of the protocol",
    "MALFORMED_MESSAGE": "an answer that breaks the protocol",
    "WRONG_MODEL": "an update of another network",
    "OTHER_PREPROCESSING": "prepared its patients with other settings",
    "NO_PATIENTS": "no training patient",
    "DATA_UNREADABLE": "its data could not be read",
    "NON_FINITE_UPDATE": "an update with numbers that are not finite",
    "MEMORY_LOST": "lost what the algorithm has it keep between rounds",
    "NO_ANSWER": "no answer in time",
    "NOT_ONLINE": "not online",
    "WRONG_SITE": "an answer in another institution's name",
    "DUPLICATE_REPLY": "a second answer to one question",
    "OUT_OF_RANGE_UPDATE": "numbers that no patients and no training can give",
    "POLICY_REFUSED": "was asked for more than its own policy allows",
    "BUNDLE_REFUSED": "does not allow the code that the study runs",
    "INTERNAL": "an error at the site, told in its own log",
}
_MOST_ROUNDS = 12


@dataclass(frozen=True)
class Failure:
    """One thing that failed: who, what, and when."""

    who: str
    what: str
    when: str


def failures(content: ReportContent) -> tuple[Failure, ...]:
    """Return refused and missing answers, institutions without patients or without a model."""
    return (
        *_updates(content.rounds, "refused"),
        *_absent(content.rounds),
        *(
            Failure(printable(site), _words(code), "final judgement")
            for site, code in sorted(content.unjudged.items())
        ),
        *(
            Failure(printable(site.name), "no usable patient", "whole run")
            for site in content.sites
            if site.patients == 0
        ),
        *_untrained(content),
    )


def _updates(rounds: Sequence[Mapping[str, Any]], key: str) -> list[Failure]:
    found: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for record in rounds:
        for site, reason in (record.get(key) or {}).items():
            found[site, str(reason)].append(int(record["round"]))
    return [
        Failure(printable(site), _words(reason), _when(numbers))
        for (site, reason), numbers in found.items()
    ]


def _absent(rounds: Sequence[Mapping[str, Any]]) -> list[Failure]:
    found: defaultdict[str, list[int]] = defaultdict(list)
    for record in rounds:
        for site in record.get("absent") or ():
            found[str(site)].append(int(record["round"]))
    return [Failure(printable(site), _words("NOT_ONLINE"), _when(n)) for site, n in found.items()]


def _untrained(content: ReportContent) -> list[Failure]:
    alone = {site_of(method) for method in single_sites(content.results)}
    if not alone:
        return []
    return [
        Failure(printable(site.name), "could not train a model alone", "whole run")
        for site in content.sites
        if site.role == "training" and site.patients and site.name not in alone
    ]


def _words(code: str) -> str:
    return _WORDS.get(code, printable(code))


def _when(rounds: Sequence[int]) -> str:
    shown = ", ".join(map(str, rounds[:_MOST_ROUNDS]))
    more = f" and {len(rounds) - _MOST_ROUNDS} more" if len(rounds) > _MOST_ROUNDS else ""
    return f"round{'' if len(rounds) == 1 else 's'} {shown}{more}"
