"""Which round's model is kept: chosen on internal validation, by those who judged both.

Who answers differs from round to round, and so do the patients and the tasks behind a score: a
hard site that is away makes a model look good. So a model is compared with the best one so far,
task by task, at the sites that judged both by as many patients; a task without such a site is
left out of the comparison, and where no task has one the best model so far stays. Who left for
good, or came late, thus neither decides nor stands in the way.

Models are compared in the order of their rounds, each with the best one before it. Where all
sites always answer, that is the round of the best score. Where they do not, "better" need not
be transitive, and the choice is the one of this order.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from shared.judgement import Judgement, LossSum
from shared.plan import Plan
from shared.tasks import TASKS, Task

# Site -> task -> the fields of a LossSum, as in a round's record.
JudgedBy = Mapping[str, Mapping[Task, Mapping[str, Any]]]


def selection_score(losses: Mapping[Task, LossSum], plan: Plan) -> float | None:
    """Return what models are compared by, on internal validation alone; higher is better.

    The loss that is trained, negative, over the tasks whose loss can be had: a proper score
    that moves little from round to round. C-indices of some hundred patients move by more than
    rounds differ, and the best of thirty is the luckiest.
    """
    weighted = [
        plan.loss.weight(task) * mean for task in TASKS if (mean := losses[task].mean) is not None
    ]
    return -sum(weighted) if weighted else None


def judged_by(judgements: Mapping[str, Judgement]) -> JudgedBy:
    """Return what each site told of a model's losses; without those who told of nobody."""
    told = {
        site: {task: asdict(loss) for task, loss in judgement.losses.items() if loss.patients}
        for site, judgement in sorted(judgements.items())
    }
    return {site: losses for site, losses in told.items() if losses}


def is_better(candidate: JudgedBy, best: JudgedBy, plan: Plan) -> bool:
    """Return whether a model's score is above the best one's, at those who judged both alike."""
    ours, theirs = dict.fromkeys(TASKS, LossSum()), dict.fromkeys(TASKS, LossSum())
    for site in sorted(candidate.keys() & best.keys()):
        for task in TASKS:
            if task not in candidate[site] or task not in best[site]:
                continue
            our, their = LossSum(**candidate[site][task]), LossSum(**best[site][task])
            # Of another number it has judged by other patients.
            if our.patients == their.patients:
                ours[task] += our
                theirs[task] += their
    score, to_beat = selection_score(ours, plan), selection_score(theirs, plan)
    return score is not None and to_beat is not None and score > to_beat
