"""What sites withhold, for a reader to know what the numbers leave out."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shared.evidence.request import EvidenceRequest
from shared.evidence.sums import CohortSums, Evidence
from shared.reporting.content import Hidden
from shared.results import COHORTS
from shared.tasks import SurvivalTask

# Statistic -> (patients who could be behind it, whether the site tells it).
_STATISTICS: dict[str, tuple[Callable[[CohortSums], int | None], Callable[[CohortSums], bool]]] = {
    "MVI, all statistics": (lambda c: c.mvi.labelled, lambda c: c.mvi.pairs is not None),
    "MVI, calls at the threshold": (
        lambda c: c.mvi.labelled if c.mvi.pairs is not None else 0,
        lambda c: c.mvi.confusion is not None,
    ),
    "OS, all statistics": (lambda c: c.os.labelled, lambda c: c.os.pairs is not None),
    "OS, risk groups": (
        lambda c: c.os.labelled if c.os.pairs is not None else 0,
        lambda c: bool(c.os.groups),
    ),
    "RFS, all statistics": (lambda c: c.rfs.labelled, lambda c: c.rfs.pairs is not None),
    "RFS, risk groups": (
        lambda c: c.rfs.labelled if c.rfs.pairs is not None else 0,
        lambda c: bool(c.rfs.groups),
    ),
}


def hidden(answers: Sequence[Evidence], request: EvidenceRequest) -> tuple[Hidden, ...]:
    """Return every statistic that a site withholds, cohort by cohort.

    Parameters
    ----------
    answers : sequence of Evidence
        Of sites; one whose minimum is 1 withholds nothing.
    request : EvidenceRequest
        What they answer: the second question, thresholds frozen.
    """
    found = []
    careful = [answer for answer in answers if answer.minimum_count > 1]
    for cohort in COHORTS:
        own = {a.site: a.cohorts[cohort] for a in careful if cohort in a.cohorts}
        for statistic, (patients, told) in _statistics(request).items():
            withheld = {
                site: patients(sums)
                for site, sums in own.items()
                if sums.patients is None or (patients(sums) != 0 and not told(sums))
            }
            if withheld:
                found.append(_hidden(statistic, cohort, withheld, own))
    return tuple(found)


def unsummed(
    rounds: Sequence[Mapping[str, Any]], answers: Sequence[Evidence]
) -> tuple[Hidden, ...]:
    """Return the measurements of which a site told no sum, those of the same sites together.

    Parameters
    ----------
    rounds : sequence of mapping
        Of ``rounds.jsonl``; what was not told stands in round 0.
    answers : sequence of Evidence
        Of sites; one whose minimum is 1 withholds nothing.
    """
    first = next((record for record in rounds if record.get("round") == 0), {})
    untold = first.get("untold") or {}
    careful = [answer for answer in answers if answer.minimum_count > 1]
    own = {a.site: a.cohorts["training"] for a in careful if "training" in a.cohorts}
    together: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for name in dict.fromkeys(name for names in untold.values() for name in names):
        sites = tuple(site for site in own if name in untold.get(site, ()))
        together[sites].append(name.replace("_", " "))
    return tuple(
        _hidden(
            f"Mean and deviation of {', '.join(names)}",
            "training",
            {site: own[site].patients for site in sites},
            own,
        )
        for sites, names in together.items()
        if sites
    )


def _hidden(
    statistic: str,
    cohort: str,
    withheld: Mapping[str, int | None],
    own: Mapping[str, CohortSums],
) -> Hidden:
    untold = [s for s, n in withheld.items() if own[s].patients is None or n is None]
    return Hidden(
        statistic=statistic,
        cohort=next(c for c in COHORTS if c == cohort),
        sites=tuple(withheld),
        patients=sum(n or 0 for site, n in withheld.items() if site not in untold),
        untold=len(untold),
    )


def _statistics(
    request: EvidenceRequest,
) -> dict[str, tuple[Callable[[CohortSums], int | None], Callable[[CohortSums], bool]]]:
    found = dict(_STATISTICS)
    # At an early horizon few have had the event, and at a late one few are left.
    for months in request.horizons_months:
        found[f"OS, at {months:g} months"] = _at_horizon("os", months, request)
        found[f"RFS, at {months:g} months"] = _at_horizon("rfs", months, request)
    return found


def _at_horizon(
    task: SurvivalTask, months: float, request: EvidenceRequest
) -> tuple[Callable[[CohortSums], int | None], Callable[[CohortSums], bool]]:
    horizon = request.horizons_months.index(months)
    in_brier = months in request.brier_months
    time = request.brier_months.index(months) if in_brier else 0

    def patients(sums: CohortSums) -> int | None:
        own = sums.survival(task)
        return own.labelled if own.auc is not None else 0

    def told(sums: CohortSums) -> bool:
        own = sums.survival(task)
        paired = own.auc is not None and own.auc[0, horizon, 1] > 0
        # Where nobody had the event yet there is no pair, and nothing that is withheld.
        judged = own.brier_patients is not None and in_brier and own.brier_patients[time] > 0
        return bool(paired or judged)

    return patients, told
