"""Asks who the patients are and how good the model is; fixes the thresholds in between.

Two questions about the model: of internal validation alone, for what thresholds are fixed by;
then, with the thresholds frozen, of every cohort at every site, also of those that never train.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from flwr.app import MessageType

from server.judges import Judges
from shared.evidence import mvi, risk_groups
from shared.evidence.description import Description
from shared.evidence.messages import (
    DESCRIBE,
    EVIDENCE,
    read_description,
    read_evidence,
    write_evidence_request,
)
from shared.evidence.metrics import FollowUp, cohort_metrics
from shared.evidence.request import (
    HORIZONS_MONTHS,
    EvidenceRequest,
    Thresholds,
    brier_months,
    follow_up_grid,
)
from shared.evidence.sums import CohortSums, Evidence
from shared.metrics.kaplan_meier import SurvivalCounts
from shared.plan import Plan
from shared.protocol import Instruction, write_instruction
from shared.results import COHORTS, Cohort, Estimate, Metric
from shared.tasks import SURVIVAL_TASKS, SurvivalTask
from shared.time_grid import TimeGrid
from shared.weights import Weights

RISK_GROUPS = 2


@dataclass(frozen=True, eq=False)
class ModelEvidence:
    """What the sites' sums say of one model.

    Attributes
    ----------
    thresholds : Thresholds
        Fixed on internal validation.
    request : EvidenceRequest
        The question that the answers answer.
    answers : tuple of Evidence
        In the order of the sites' names.
    follow_up : dict of Cohort to mapping of SurvivalTask to SurvivalCounts
        Of all sites of a cohort that tell theirs.
    refused : dict of str to str
        By site or node, the code of what kept it from answering.
    """

    thresholds: Thresholds
    request: EvidenceRequest
    answers: tuple[Evidence, ...]
    follow_up: dict[Cohort, FollowUp]
    refused: dict[str, str]

    def parts(self, cohort: Cohort) -> list[CohortSums]:
        """Return the sums of a cohort, site by site."""
        return [a.cohorts[cohort] for a in self.answers if cohort in a.cohorts]

    def metrics(self) -> dict[Cohort, dict[Metric, Estimate]]:
        """Return the row of the results table."""
        return {
            cohort: cohort_metrics(self.parts(cohort), self.request, self.follow_up[cohort])
            for cohort in COHORTS
        }

    def metrics_by_site(self) -> dict[str, dict[Metric, Estimate]]:
        """Return each site's own: internal validation where it trained, else all patients."""
        found = {}
        for answer in self.answers:
            cohort: Cohort = "external" if "external" in answer.cohorts else "internal"
            if cohort in answer.cohorts:
                sums, follow_up = answer.cohorts[cohort], self.follow_up[cohort]
                found[answer.site] = cohort_metrics([sums], self.request, follow_up)
        return found


def ask_for_descriptions(
    judges: Judges, plan: Plan
) -> tuple[tuple[Description, ...], dict[str, str]]:
    """Ask sites who their patients are.

    Parameters
    ----------
    judges : Judges
        The training sites and those that are held out.
    plan : Plan

    Returns
    -------
    descriptions : tuple of Description
        In the order of the sites' names.
    refused : dict of str to str
        Site to code, of those that gave no answer that counts.
    """
    content = write_instruction({}, Instruction(plan, round=0))
    kind = f"{MessageType.QUERY}.{DESCRIBE}"
    answers, refused = judges.ask(content, kind, read_description)
    bins = follow_up_grid(plan).intervals + 1
    odd = {
        a.site
        for a in answers
        if not a.cohorts or not all(c.fits(bins) for c in a.cohorts.values())
    }
    refused |= dict.fromkeys(sorted(odd), "MALFORMED_MESSAGE")
    return tuple(answer for answer in answers if answer.site not in odd), refused


def ask_for_evidence(
    judges: Judges,
    plan: Plan,
    weights: Weights,
    descriptions: Sequence[Description],
    *,
    resamples: int,
    counted: Mapping[str, int] | None = None,
    federation: str = "",
) -> ModelEvidence:
    """Ask all sites how good a model is, with thresholds fixed on internal validation.

    Parameters
    ----------
    judges : Judges
        The training sites and those that are held out.
    plan : Plan
    weights : Weights
        The model.
    descriptions : sequence of Description
        From `ask_for_descriptions`: their follow-up gives the Kaplan-Meier null.
    resamples : int
        Of the bootstrap, at each site.
    counted : mapping of str to int, optional
        Site -> the round of its own that goes with the model; see `shared.protocol.Instruction`.
    federation : str, optional
        The run that the model is of, likewise.
    """
    follow_up = follow_up_of(descriptions, follow_up_grid(plan))
    first = first_request(plan)
    instruction = Instruction(plan, plan.rounds + 1, counted or {}, federation)
    kind = f"{MessageType.EVALUATE}.{EVIDENCE}"

    def ask(request: EvidenceRequest) -> tuple[tuple[Evidence, ...], dict[str, str]]:
        content = write_evidence_request(weights, instruction, request)
        return judges.ask(content, kind, read_evidence)

    internal, _ = ask(first)
    thresholds = freeze([answer for answer in internal if _fits(answer, first)])
    second = replace(first, cohorts=COHORTS, resamples=resamples, thresholds=thresholds)
    answers, refused = ask(second)
    fitting = tuple(answer for answer in answers if _fits(answer, second))
    refused |= {a.site: "MALFORMED_MESSAGE" for a in answers if not _fits(a, second)}
    return ModelEvidence(thresholds, second, fitting, follow_up, refused)


def first_request(plan: Plan) -> EvidenceRequest:
    """Return the question by which thresholds are fixed: internal validation, nobody else."""
    return EvidenceRequest(
        cohorts=("internal",),
        follow_up=follow_up_grid(plan),
        horizons_months=HORIZONS_MONTHS,
        brier_months=brier_months(plan),
    )


def freeze(internal: Sequence[Evidence]) -> Thresholds:
    """Fix the thresholds: MVI at half of the best F1, risk groups at the median predicted risk."""
    parts = [a.cohorts["internal"] for a in internal if "internal" in a.cohorts]
    return Thresholds(
        mvi=mvi.f1_threshold([part.mvi for part in parts]),
        rfs=risk_groups.risk_cuts([part.rfs for part in parts], RISK_GROUPS),
        os=risk_groups.risk_cuts([part.os for part in parts], RISK_GROUPS),
    )


def follow_up_of(descriptions: Sequence[Description], grid: TimeGrid) -> dict[Cohort, FollowUp]:
    """Return each cohort's follow-up over all sites that tell theirs."""
    found: dict[Cohort, FollowUp] = {}
    for cohort in COHORTS:
        own = [d.cohorts[cohort] for d in descriptions if cohort in d.cohorts]
        tasks: dict[SurvivalTask, SurvivalCounts] = {}
        for task in SURVIVAL_TASKS:
            counts = risk_groups.follow_up_counts([c.follow_up[task] for c in own], grid)
            if counts is not None:
                tasks[task] = counts
        found[cohort] = tasks
    return found


def _fits(answer: Evidence, request: EvidenceRequest) -> bool:
    """Return whether every sum has the rows, bins, groups and horizons that were asked for."""
    return all(
        sums.mvi.fits(request.resamples + 1)
        and all(
            sums.survival(task).fits(
                request.resamples + 1,
                groups=len(request.thresholds.cuts(task)) + 1 if request.thresholds else 0,
                horizons=len(request.horizons_months),
                times=len(request.brier_months),
                bins=request.follow_up.intervals + 1,
            )
            for task in SURVIVAL_TASKS
        )
        for sums in answer.cohorts.values()
    )
