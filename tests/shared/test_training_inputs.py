"""What was seen in training, from sums; what of a patient lies outside."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from shared.evidence.description import CohortDescription, Description, MeasureSums
from shared.measurements import MEASUREMENTS
from shared.model import DIRECT_FEATURE_NAMES, DIRECT_FEATURES, RoiBatch, direct_features
from shared.regions import region_weights
from shared.standardisation import FeatureSums
from shared.training_inputs import described_ranges, measured, outside, training_inputs


def cube(edge: int, present: tuple[float, float, float] = (1, 1, 1)) -> RoiBatch:
    """Return a patient whose phases are 1, 2 and 3 everywhere, with a cube of a tumour."""
    mask = torch.ones(1, 20, 20, 20, dtype=torch.uint8)
    mask[:, 5 : 5 + edge, 5 : 5 + edge, 5 : 5 + edge] = 2
    flags = torch.tensor([present])
    levels = torch.tensor([1.0, 2.0, 3.0]) * flags[0]
    phases = levels.view(1, 3, 1, 1, 1).expand(1, 3, 20, 20, 20).clone()
    measurements = torch.full((1, len(MEASUREMENTS)), torch.nan)
    # A sphere of as many voxels of 27 cubic mm.
    measurements[0, MEASUREMENTS.index("log_diameter_mm")] = math.log(
        (6 / math.pi * edge**3 * 27) ** (1 / 3)
    )
    return RoiBatch(phases, mask, flags, torch.tensor([3.0]), measurements, torch.empty(1, 0))


def features(batch: RoiBatch) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    values, known = direct_features(batch, region_weights(batch.mask == 2))
    return values.numpy(), known.numpy()


def test_names_stand_for_the_features_of_the_network() -> None:
    values, _ = features(cube(6, present=(1, 0, 1)))
    named = dict(zip(DIRECT_FEATURE_NAMES, values[0], strict=True))
    assert len(DIRECT_FEATURE_NAMES) == DIRECT_FEATURES
    assert [named[f"intensity_{p}_ring"] for p in ("arterial", "delayed")] == pytest.approx([1, 3])
    assert [named[f"present_{p}"] for p in ("arterial", "portal_venous", "delayed")] == [1, 0, 1]
    assert named["log_diameter_mm"] == pytest.approx(math.log((6 / math.pi * 216 * 27) ** (1 / 3)))


def test_ranges_are_the_mean_and_three_deviations_of_all_sites() -> None:
    rows = [features(cube(edge, (1, 1, edge % 2))) for edge in (4, 5, 6, 7)]
    values, known = (np.concatenate([row[k] for row in rows]).astype(float) for k in (0, 1))
    parts = [FeatureSums.over(values[:2], known[:2]), FeatureSums.over(values[2:], known[2:])]
    mean, deviation = (parts[0] + parts[1]).mean_and_deviation()
    seen = training_inputs(
        {"standardise.mean": mean, "standardise.deviation": deviation},
        {"slice_spacing_mm": (1.0, 5.0)},
    )
    assert dict(seen.phase_share) == {"arterial": 1, "portal_venous": 1, "delayed": 0.5}
    logs = values[:, DIRECT_FEATURE_NAMES.index("log_diameter_mm")]
    low, high = seen.ranges["tumour_diameter_mm"]
    assert math.log(low) == pytest.approx(logs.mean() - 3 * logs.std(), rel=1e-5)
    assert math.log(high) == pytest.approx(logs.mean() + 3 * logs.std(), rel=1e-5)
    assert seen.ranges["slice_spacing_mm"] == (1.0, 5.0)


def test_a_patient_unlike_the_others_is_told_by_quantity() -> None:
    weights = {
        "standardise.mean": np.array(
            [math.log(20) if n == "log_diameter_mm" else 2.0 for n in DIRECT_FEATURE_NAMES],
            np.float32,
        ),
        "standardise.deviation": np.full(DIRECT_FEATURES, 0.1, np.float32),
    }
    seen = training_inputs(weights)
    values, known = features(cube(6, present=(1, 1, 0)))
    found = {item.quantity: item for item in outside(seen, measured(values[0], known[0]))}
    assert {name for name in found if "arterial" in name} == {
        f"intensity_arterial_{region}" for region in ("core", "rim", "ring")
    }
    assert not [name for name in found if "portal" in name or "delayed" in name]
    assert found["intensity_arterial_core"].value == pytest.approx(1.0)
    assert found["intensity_arterial_core"].usual == pytest.approx((1.7, 2.3))


def described(
    site: str, spacings_mm: Sequence[float] = (), diameters_mm: Sequence[float] = ()
) -> Description:
    measures = CohortDescription().measures
    measures |= {
        "slice_spacing_mm": sums(spacings_mm),
        "tumour_diameter_mm": sums(diameters_mm),
    }
    return Description(site, 1, {"training": CohortDescription(measures=measures)}, {}, 0)


def sums(values: Sequence[float]) -> MeasureSums:
    return MeasureSums(len(values), sum(values), sum(value**2 for value in values))


def test_what_sites_describe_becomes_a_range_by_the_same_rule() -> None:
    spacings = [1.0, 2.5, 5.0, 5.0, 3.0]
    ranges = described_ranges([described("a", spacings[:2]), described("b", spacings[2:])])
    mean, deviation = np.mean(spacings), np.std(spacings)
    # Never below zero: a length has no negative end.
    assert ranges.keys() == {"slice_spacing_mm"}
    assert ranges["slice_spacing_mm"] == pytest.approx((0.0, mean + 3 * deviation))
    alike = described_ranges([described("a", [2.5, 2.5])])
    assert alike["slice_spacing_mm"] == pytest.approx((2.375, 2.625))
    assert described_ranges([described("a", [])]) == {}


def test_a_large_tumour_is_unusual_though_its_logarithm_is_not() -> None:
    """Sizes spread so widely that three deviations of the logarithm hold twice the largest."""
    generator = np.random.default_rng(0)
    sizes = generator.uniform(8, 122, 200)
    logs, each = np.log(sizes), sizes.tolist()
    weights = {
        "standardise.mean": np.full(DIRECT_FEATURES, logs.mean(), np.float32),
        "standardise.deviation": np.full(DIRECT_FEATURES, logs.std(), np.float32),
    }
    both = [described("a", diameters_mm=each[:80]), described("b", diameters_mm=each[80:])]
    logarithm = training_inputs(weights).ranges["tumour_diameter_mm"]
    assert logarithm[1] > 250
    low, high = training_inputs(weights, described_ranges(both)).ranges["tumour_diameter_mm"]
    assert low == logarithm[0]
    assert high == pytest.approx(sizes.mean() + 3 * sizes.std())
    assert sizes.max() < high < 180
    # A site that does not tell its sizes may have had the largest.
    silent = [*both, described("c")]
    told = training_inputs(weights, described_ranges(silent)).ranges
    assert told["tumour_diameter_mm"] == logarithm


def test_what_no_site_could_share_has_no_range() -> None:
    mean, deviation = FeatureSums.empty().mean_and_deviation()
    seen = training_inputs({"standardise.mean": mean, "standardise.deviation": deviation})
    assert seen.ranges == {}
    assert seen.phase_share == {}
