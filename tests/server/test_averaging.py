import numpy as np

from server.averaging import average_updates
from shared.judgement import Judgement
from shared.protocol import Update
from shared.weights import Weights

TRUNK, MVI, OS = "trunk.conv0.weight", "heads.mvi.weight", "heads.os.baseline"


def update(site: str, value: float, patients: int, mvi: int, os: int) -> Update:
    weights: Weights = {key: np.full(2, value, np.float32) for key in (TRUNK, MVI, OS)}
    return Update(
        site=site,
        weights=weights,
        patients=patients,
        labelled={"mvi": mvi, "rfs": 0, "os": os},
        loss=0.0,
        seconds=0.0,
        judgement=Judgement.empty(),
    )


CURRENT: Weights = {key: np.full(2, -1.0, np.float32) for key in (TRUNK, MVI, OS)}


def test_trunk_by_patients_and_heads_by_labelled_patients() -> None:
    """Trunk (1 * 30 + 4 * 10) / 40 = 1.75; MVI (1 * 5 + 4 * 10) / 15 = 3; OS only site b: 4."""
    updates = [update("a", 1.0, 30, mvi=5, os=0), update("b", 4.0, 10, mvi=10, os=8)]
    averaged = average_updates(updates, CURRENT)
    np.testing.assert_allclose(averaged[TRUNK], 1.75)
    np.testing.assert_allclose(averaged[MVI], 3.0)
    np.testing.assert_allclose(averaged[OS], 4.0)


def test_a_head_without_any_label_stays_as_it_is() -> None:
    averaged = average_updates([update("a", 1.0, 30, mvi=0, os=3)], CURRENT)
    np.testing.assert_array_equal(averaged[MVI], CURRENT[MVI])


def test_the_order_of_arrival_changes_no_bit() -> None:
    generator = np.random.default_rng(0)
    updates = [
        update(f"site_{index}", float(generator.normal()), int(generator.integers(3, 90)), 1, 2)
        for index in range(7)
    ]
    first = average_updates(updates, CURRENT)
    second = average_updates(updates[::-1], CURRENT)
    assert all(first[key].tobytes() == second[key].tobytes() for key in CURRENT)
    assert first[TRUNK].dtype == np.float32
