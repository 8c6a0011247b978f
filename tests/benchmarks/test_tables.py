"""What the long benchmarks read and write, without the hours in between."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from shared.metrics.predictions import SurvivalPredictions
from tests.benchmarks import accuracy, goals
from tests.benchmarks.ablation import DEFAULT, SEEDS, VARIANTS, read_variants, table
from tests.benchmarks.internal import (
    METRICS,
    UNSEEN_PREFIX,
    InternalRun,
    excess_survival,
    internal_run,
)
from tests.benchmarks.over_seeds import in_words

# Seeds of the runs of one cohort: default, and a variant that is better by about 0.02.
FOUND = {DEFAULT: (0.70, 0.72, 0.75), "better": (0.71, 0.75, 0.77)}


def test_a_mean_has_students_interval() -> None:
    values = np.array([0.70, 0.72, 0.75])
    low, high = stats.t.interval(0.95, 2, values.mean(), stats.sem(values))
    assert in_words(values) == f"{values.mean():.3f} ± {(high - low) / 2:.3f}"
    assert in_words(np.array([0.7, np.nan])) == "0.700"
    assert in_words(np.array([0.02]), sign=True) == "+0.020"
    assert in_words(np.array([np.nan])) == "–"


def test_every_variant_is_a_configuration_of_its_own(tmp_path: Path) -> None:
    variants = read_variants(VARIANTS, ())
    runs = [
        internal_run(tmp_path, name, 100, 0, own, "federated") for name, own in variants.items()
    ]
    assert len({run.path.stem for run in runs}) == len(variants)
    pooled = internal_run(tmp_path, DEFAULT, 100, 0, [], "pooled")
    assert pooled.path.name not in {run.path.name for run in runs}


def test_cohorts_of_the_ablation_are_not_those_that_are_reported() -> None:
    assert not {cohort for cohort, _ in SEEDS} & {cohort for cohort, _ in accuracy.SEEDS}


@pytest.mark.parametrize(
    ("text", "chosen", "message"),
    [
        ("better: []\n", [], "begin with 'default'"),
        ("default: []\nbetter: rounds=3\n", [], "no list of words"),
        ("default: []\n", ["best"], "not there"),
    ],
)
def test_wrong_variants_are_told(
    tmp_path: Path, text: str, chosen: list[str], message: str
) -> None:
    (tmp_path / "variants.yaml").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_variants(tmp_path / "variants.yaml", chosen)


def runs_with(folder: Path, found: Mapping[str, Sequence[float]]) -> dict[str, list[InternalRun]]:
    made: dict[str, list[InternalRun]] = {}
    for name, values in found.items():
        own = made.setdefault(name, [])
        for number, value in enumerate(values):
            run = internal_run(folder, name, number, number, [], "federated")
            run.path.parent.mkdir(parents=True, exist_ok=True)
            internal = dict.fromkeys([*METRICS, "loss"], value)
            unseen = {UNSEEN_PREFIX + name: value - 0.1 for name in internal}
            run.path.write_text(json.dumps(internal | unseen))
            own.append(run)
    return made


def test_excess_survival_is_what_is_predicted_less_what_is_observed() -> None:
    """Of four known one dies at 12 and two are lost at 60 and 70 months: 3/4 live at 48."""
    months, event = np.array([12.0, 60.0, 70.0, 50.0, np.nan]), np.array([1.0, 0, 0, 1, np.nan])
    curves = np.column_stack([np.full(5, 0.9), [0.2, 0.9, 0.9, 0.8, 0.0]])
    rows = SurvivalPredictions(months, event, -months, curves)
    assert excess_survival(rows, (12.0, 48.0)) == pytest.approx(0.7 - 0.75)
    assert excess_survival(rows, (12.0, 36.0)) is None


def test_the_table_pairs_differences_by_cohort(tmp_path: Path) -> None:
    """0.01, 0.03, 0.02: mean 0.02, half of the interval 4.303 * 0.01 / sqrt(3) = 0.025."""
    lines = table(runs_with(tmp_path, FOUND), "federated").splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    assert rows[2][1] == "0.643 ± 0.076"  # unseen patients come first
    default, better = rows[-2:]
    assert better[:3] == ["better", "0.743 ± 0.076", "+0.020 ± 0.025"]
    assert better[-1] == "+0.020 ± 0.025"
    assert default[0] == DEFAULT
    assert default[1] == "0.723 ± 0.063"


def test_a_run_that_failed_leaves_a_gap(tmp_path: Path) -> None:
    runs = runs_with(tmp_path, FOUND)
    runs["better"][0].path.unlink()
    cells = table(runs, "federated").splitlines()[-1].split(" | ")
    assert cells[2].startswith("+0.025 ±")


def results(federated: Sequence[float], oracle: float = 0.8) -> list[dict[str, Any]]:
    """Return runs in which all rivals have 0.6, and the federation tells 0.02 less than it has."""

    def rival(value: float) -> dict[str, Any]:
        row = {metric: {"value": value} for metric in goals.METRICS}
        return dict.fromkeys(accuracy.COHORTS, row)

    def ours(value: float) -> dict[str, Any]:
        told = {metric: {"value": value - 0.02} for metric in goals.METRICS}
        rows = {f"{metric}_rows": {"value": value} for metric in goals.METRICS}
        return dict.fromkeys(accuracy.COHORTS, told | rows)

    rivals = {name: rival(0.6) for name in ("pooled", "radiomics", "local", "local/a", "local/b")}
    return [{"oracle": rival(oracle), "fedavg": ours(value), **rivals} for value in federated]


def found_goals(
    runs: list[dict[str, Any]], lacking: float = 0.6, minutes: float = 9.0
) -> dict[tuple[str, str], goals.Goal]:
    row: dict[str, float | None] = dict(zip(goals.METRICS, [lacking] * 4, strict=True))
    figures = [{"internal": row, "external": row}] * len(runs)
    every = goals.goals(runs, figures, np.full(len(runs), minutes))
    found = {(goal.line, goal.what): goal for goal in every}
    assert len(found) == len(every)
    return found


POOLED, ALONE = "behind pooled by at most 0.01", "above every site alone"
RADIOMICS = "above radiomics by at least 0.02 in two"
LACKING = "a third of phases missing, MVI unknown elsewhere: falls by at most 0.02"
MINUTES = "a default run takes at most 15 minutes"


def test_rivals_are_compared_by_rows_and_the_first_goal_by_what_is_told() -> None:
    """0.62, 0.64, 0.66: ahead by 0.04, half of the interval 4.303 * 0.02 / sqrt(3) = 0.0497."""
    found = found_goals(results([0.62, 0.64, 0.66]))
    ahead = found[POOLED, "external os_c_index"]
    assert ahead.reached == pytest.approx(0.04)
    assert ahead.half == pytest.approx(0.0497, abs=1e-4)
    assert ahead.met
    told = found["at the external site at least 0.79", "os_c_index"]
    assert told.reached == pytest.approx(0.62)
    assert not told.met


def test_the_share_covered_is_that_of_the_means() -> None:
    """0.14 of 0.30, the interval that of the means over 0.30: the oracle is always the same."""
    share = found_goals(results([0.62, 0.64, 0.66]))[
        "from chance to the oracle at least 85%", "internal mvi_auc"
    ]
    assert share.reached == pytest.approx(0.14 / 0.30)
    assert share.half == pytest.approx(0.0497 / 0.30, abs=1e-3)


def test_a_goal_is_met_within_its_limit_and_missed_beyond() -> None:
    lines = [
        (POOLED, "internal rfs_c_index"),
        (RADIOMICS, "external, the second of three"),
        (ALONE, "internal os_c_index, the best of 2"),
        (LACKING, "external os_c_index"),
        (MINUTES, "the longest"),
    ]
    within = found_goals(results([0.625] * 2), lacking=0.606, minutes=15.0)
    assert [within[line].met for line in lines] == [True] * 5
    beyond = found_goals(results([0.589] * 2), lacking=0.5, minutes=15.1)
    assert [beyond[line].met for line in lines] == [False] * 5
    assert beyond[LACKING, "internal mvi_auc, on fewer patients"].met is None


def test_of_a_gap_that_is_the_patients_own_no_model_is_blamed() -> None:
    runs = results([0.6, 0.6])
    for run in runs:
        run["oracle"] = {**run["oracle"], "training": {"mvi_f1": {"value": 0.95}}}
    own = found_goals(runs)["of that the oracle's own", "internal mvi_f1"]
    assert own.reached == pytest.approx(0.15)
    assert own.met is None


def test_where_the_oracle_is_at_chance_no_share_is_covered() -> None:
    runs = results([0.65, 0.65], oracle=0.5)
    share = found_goals(runs)["from chance to the oracle at least 85%", "internal mvi_auc"]
    assert share.met is False
    assert "| – | NO |" in accuracy.table(runs, [], np.array([np.nan, np.nan]))


def test_what_was_not_run_meets_no_goal() -> None:
    every = goals.goals(results([0.65, 0.66]), [], np.array([np.nan, np.nan]))
    unknown = [goal for goal in every if np.isnan(goal.reached)]
    assert {goal.line for goal in unknown} == {LACKING, MINUTES}
    assert not any(goal.met for goal in unknown)
