"""What the long benchmarks read and write, without the hours in between."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tests.benchmarks import accuracy
from tests.benchmarks.ablation import DEFAULT, SEEDS, VARIANTS, read_variants, table
from tests.benchmarks.internal import METRICS, InternalRun, internal_run
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
            run.path.write_text(json.dumps(dict.fromkeys(METRICS, value)))
            own.append(run)
    return made


def test_the_table_pairs_differences_by_cohort(tmp_path: Path) -> None:
    """0.01, 0.03, 0.02: mean 0.02, half of the interval 4.303 * 0.01 / sqrt(3) = 0.025."""
    lines = table(runs_with(tmp_path, FOUND), "federated").splitlines()
    default, better = (line.strip("| ").split(" | ") for line in lines[-2:])
    assert better[:3] == ["better", "0.743 ± 0.076", "+0.020 ± 0.025"]
    assert better[-1] == "+0.020 ± 0.025"
    assert default[0] == DEFAULT
    assert default[1] == "0.723 ± 0.063"


def test_a_run_that_failed_leaves_a_gap(tmp_path: Path) -> None:
    runs = runs_with(tmp_path, FOUND)
    runs["better"][0].path.unlink()
    cells = table(runs, "federated").splitlines()[-1].split(" | ")
    assert cells[2].startswith("+0.025 ±")


def results(oracle: float) -> list[dict[str, Any]]:
    def method(value: float) -> dict[str, Any]:
        row = {metric: {"value": value} for metric in accuracy.METRICS}
        return dict.fromkeys(accuracy.COHORTS, row)

    rivals = {name: method(0.6) for name in ("pooled", "radiomics", "local", "local/a")}
    return [{"oracle": method(oracle), "fedavg": method(0.65), **rivals}] * 2


def test_where_the_oracle_is_at_chance_no_share_is_covered() -> None:
    assert accuracy.coverage(results(0.8), "internal", "mvi_auc") == pytest.approx(0.5)
    assert np.isnan(accuracy.coverage(results(0.5), "internal", "mvi_auc"))
    met = {goal: reached for goal, _, reached in accuracy.goals(results(0.5))}
    assert not met["internal mvi_auc: share covered >= 0.85"]
    assert "| – | NO |" in accuracy.table(results(0.5))
