from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from shared.losses.logistic_hazard import logistic_hazard_loss, risk_score, survival_curve
from shared.measurements import MEASUREMENTS
from shared.model import (
    IMAGE_STATISTICS,
    ModelSettings,
    MultiTaskNet,
    RoiBatch,
    Standardise,
    constant_hazard,
    ranking_score,
)
from shared.model.heads import ProportionalHazardHead
from shared.model.trunk import build_trunk
from shared.time_grid import TimeGrid

INTERVALS = 12
BASELINE = torch.full((INTERVALS,), -3.0)


def roi_batch(patients: int = 3, edge: int = 24, seed: int = 0) -> RoiBatch:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.ones(patients, edge, edge, edge, dtype=torch.uint8)
    mask[:, 8:15, 8:15, 8:15] = 2
    return RoiBatch(
        phases=torch.randn(patients, 3, edge, edge, edge, generator=generator),
        mask=mask,
        present=torch.ones(patients, 3),
        spacing_mm=torch.full((patients,), 3.0),
        measurements=torch.randn(patients, len(MEASUREMENTS), generator=generator),
        clinical=torch.empty(patients, 0),
    )


def network(settings: ModelSettings, seed: int = 0) -> MultiTaskNet:
    """Return a network whose heads, which begin at zero, have an opinion."""
    torch.manual_seed(seed)
    model = MultiTaskNet(settings, BASELINE)
    for name, parameter in model.heads.named_parameters():
        if name.endswith("weight"):
            torch.nn.init.normal_(parameter, std=0.3)
    return model


@pytest.mark.parametrize("mask_channel", [True, False])
def test_outputs_have_their_shapes(mask_channel: bool) -> None:
    model = MultiTaskNet(ModelSettings(mask_channel=mask_channel), BASELINE)
    outputs = model(roi_batch())
    assert {task: tuple(output.shape) for task, output in outputs.items()} == {
        "mvi": (3,),
        "rfs": (3, INTERVALS),
        "os": (3, INTERVALS),
    }


def test_baselines_begin_at_one_hazard_a_month() -> None:
    """Half of all live for 40 months: S(10) = 2^(-1/4), and S(40) = 1/2 however it is divided."""
    for widths in ([10.0, 30.0], [10.0, 10.0, 12.5, 7.5]):
        survived = survival_curve(constant_hazard(widths)[None])[0]
        torch.testing.assert_close(survived[[0, -1]], torch.tensor([2**-0.25, 0.5]))


def test_intervals_that_few_reach_follow_those_that_many_do() -> None:
    """Of four followed for a year one dies in its first half; the start is a hazard of 1/2.

    By hand: g_1 = (4 * 1/2 - 1) / 4 = 1/4 and g_2 = (3 * 1/2 - 0) / 4 = 3/8, so that a step of
    length 1 moves the level by -5/8, the two baselines by -1/4 and -3/8, and the third by 0.
    """
    head = ProportionalHazardHead(1, torch.zeros(3))
    logits = head(torch.zeros(4, 1), torch.zeros(4, 1))
    followed = TimeGrid((6.0, 12.0, 60.0)).exposure([5.0, 12.0, 12.0, 12.0], [1, 0, 0, 0])
    exposure, died = (torch.from_numpy(array) for array in followed)
    torch.autograd.backward(logistic_hazard_loss(logits, exposure.float(), died).mean())
    torch.optim.SGD([head.level, head.baseline], lr=1.0).step()
    moved = head(torch.zeros(1, 1), torch.zeros(1, 1))[0]
    torch.testing.assert_close(moved, torch.tensor([-7 / 8, -1.0, -5 / 8]))


def test_a_patients_output_does_not_depend_on_the_batch() -> None:
    """No statistics over the batch: a hospital's patients are judged one by one."""
    model = network(ModelSettings()).eval()
    batch = roi_batch()
    alone = RoiBatch(*(value[:1] for value in vars(batch).values()))
    with torch.no_grad():
        torch.testing.assert_close(model(batch)["os"][:1], model(alone)["os"], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"trunk": "vgg"},
        {"trunk_precision": "float16"},
        {"measurements": False, "trunk": "none"},
        {"liver_clipped": True, "trunk": "none"},
    ],
)
def test_a_choice_that_would_have_no_effect_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ModelSettings(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"block_config": ()},
        {"block_config": (4, 0)},
        {"block_config": (1, 4), "init_features": 16, "growth_rate": 4},
        {"init_features": 0},
        {"growth_rate": 6},
        {"bottleneck": 0},
    ],
)
def test_a_trunk_that_cannot_be_built_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ModelSettings(**wrong)


@pytest.mark.parametrize(("blocks", "least"), [((4,), 1), ((4, 4, 4), 13), ((2, 2, 2, 2), 29)])
def test_a_region_is_as_large_as_its_trunk_needs(blocks: tuple[int, ...], least: int) -> None:
    settings = ModelSettings(block_config=blocks)
    settings.check_region((least, 40, 40))
    trunk = build_trunk(settings, 5)
    assert trunk(torch.zeros(1, 5, least, 40, 40)).shape[2] == 1
    if least > 1:
        with pytest.raises(ValueError, match=r"preprocessing\.shape.*block_config"):
            settings.check_region((40, least - 1, 40))
        with pytest.raises(RuntimeError, match="smaller than kernel"):
            trunk(torch.zeros(1, 5, 40, least - 1, 40))


@pytest.mark.parametrize(
    "settings",
    [
        ModelSettings(dropout=0.0),
        ModelSettings(dropout=0.0, measurements=False),
        ModelSettings(dropout=0.0, liver_clipped=True),
    ],
)
def test_every_parameter_learns(settings: ModelSettings) -> None:
    model = network(settings)
    for parameter in model.parameters():  # some begin at zero, and hold others back
        if not parameter.detach().any():
            torch.nn.init.normal_(parameter, std=0.1)
    sum(output.square().sum() for output in model(roi_batch()).values()).backward()
    silent = [
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is None or not parameter.grad.abs().sum() > 0
    ]
    assert silent == []


@pytest.mark.parametrize("clipped", [True, False])
def test_what_is_clipped_to_the_liver_does_not_know_its_surroundings(clipped: bool) -> None:
    """But where a mask marks the tumour alone, nobody knows what is not liver."""
    model = network(ModelSettings(liver_clipped=clipped)).eval()
    batch = roi_batch()
    batch.mask[:, :, :, 20:] = 0
    other = replace(batch, phases=batch.phases.clone())
    other.phases[..., 20:] += 1.0
    alone = batch.mask * (batch.mask == 2)
    with torch.no_grad():
        assert torch.equal(model.pool(batch), model.pool(other)) == clipped
        unmarked = [model.pool(replace(one, mask=alone)) for one in (batch, other)]
        assert not torch.equal(*unmarked)


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let ``auto`` compute as on a GPU, without oneDNN, whose gradients are not to be trusted."""

    def half(settings: ModelSettings, device: torch.device) -> torch.autocast:
        return torch.autocast(
            device.type, torch.bfloat16, enabled=settings.trunk_precision == "auto"
        )

    monkeypatch.setattr("shared.model.network.precision", half)
    with torch.backends.mkldnn.flags(enabled=False):
        yield


@pytest.mark.usefixtures("as_on_a_gpu")
def test_a_trunk_in_bfloat16_leaves_the_heads_exact() -> None:
    """The trunk may be coarse; two patients who differ slightly may not become one."""
    exact = network(ModelSettings(trunk_precision="float32")).eval()
    half = network(ModelSettings()).eval()
    batch = roi_batch(patients=2)
    slightly = batch.measurements[:1] + torch.tensor([0.0, 1e-4]).unsqueeze(1)
    twins = replace(
        batch,
        phases=batch.phases[:1].expand_as(batch.phases),
        measurements=slightly,
    )
    with torch.no_grad():
        expected, found = exact(twins), half(twins)
    for task, output in found.items():
        assert output.dtype == torch.float32
        assert not torch.equal(output, expected[task])
        torch.testing.assert_close(output, expected[task], rtol=0, atol=0.02)
        difference, wanted = output[1] - output[0], expected[task][1] - expected[task][0]
        assert (difference != 0).all()
        torch.testing.assert_close(difference, wanted, rtol=0.02, atol=0)


@pytest.mark.usefixtures("as_on_a_gpu")
def test_a_trunk_in_bfloat16_learns_in_float32() -> None:
    model = network(ModelSettings(dropout=0.0))
    sum(output.square().sum() for output in model(roi_batch()).values()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.dtype == parameter.grad.dtype == torch.float32
        assert parameter.grad.abs().sum() > 0, name


def test_on_a_cpu_the_trunk_is_exact_unless_asked_otherwise() -> None:
    batch = roi_batch()
    with torch.no_grad():
        default = network(ModelSettings()).eval()(batch)
        exact = network(ModelSettings(trunk_precision="float32")).eval()(batch)
    assert all(torch.equal(default[task], exact[task]) for task in exact)


def test_ranking_score_orders_patients_as_their_curves_do() -> None:
    model = network(ModelSettings()).eval()
    with torch.no_grad():
        logits = model(roi_batch(patients=6))["rfs"]
    order = ranking_score(logits).argsort()
    grid = TimeGrid(tuple(float(edge) for edge in range(1, INTERVALS + 1)))
    assert torch.equal(order, risk_score(logits, grid).argsort())
    for survival in survival_curve(logits).T:
        assert torch.equal(order, survival.argsort(descending=True))


def test_without_a_trunk_the_heads_read_the_measurements_alone() -> None:
    model = network(ModelSettings(trunk="none")).eval()
    batch = roi_batch()
    other = replace(batch, phases=torch.zeros_like(batch.phases))
    with torch.no_grad():
        assert torch.equal(model(batch)["os"], model(other)["os"])
        assert model.features(batch).shape == (3, len(MEASUREMENTS))


def test_a_withheld_measurement_decides_nothing() -> None:
    settings = ModelSettings(trunk="none", withheld_measurements=("satellites",))
    model, batch = network(settings), roi_batch()
    for parameter in model.heads.parameters():
        torch.nn.init.ones_(parameter)
    changed = batch.measurements.clone()
    changed[:, MEASUREMENTS.index("satellites")] += 1
    with torch.no_grad():
        assert torch.equal(model(batch)["os"], model(replace(batch, measurements=changed))["os"])
    changed[:, MEASUREMENTS.index("satellites") + 1] += 1
    with torch.no_grad():
        told = model(replace(batch, measurements=changed))["os"]
        assert not torch.equal(model(batch)["os"], told)


def test_what_nobody_measures_cannot_be_withheld() -> None:
    with pytest.raises(ValueError, match=r"withheld_measurements.*'size'"):
        ModelSettings(withheld_measurements=("size",))


def test_the_penalty_is_half_the_weighted_squares() -> None:
    """Weights of 1 over 16 measurements: (0.5 * 16 + 2 * 3 * 16) / 2 = 52."""
    model = MultiTaskNet(ModelSettings(trunk="none"), BASELINE)
    for name, parameter in model.heads.named_parameters():
        if name.endswith("weight"):
            torch.nn.init.ones_(parameter)
    assert len(MEASUREMENTS) == 16
    assert float(model.ridge(0.5, 2.0).detach()) == pytest.approx(52)


def test_an_unknown_measurement_takes_its_conditional_mean() -> None:
    """Of a normal distribution with correlations r between 0 and each of 1, 2: known z1, z2.

    With R_kk the identity but for 0.5 between them, E[z0] = r' R_kk^-1 z; for r = (0.6, 0.3)
    and z = (1, 2): R_kk^-1 z = (0, 2), so E[z0] = 0.6. What nothing is correlated with is 0.
    """
    standardise = Standardise()
    standardise.correlation[0, 1] = standardise.correlation[1, 0] = 0.6
    standardise.correlation[0, 2] = standardise.correlation[2, 0] = 0.3
    standardise.correlation[1, 2] = standardise.correlation[2, 1] = 0.5
    measurements = torch.full((2, len(MEASUREMENTS)), torch.nan)
    measurements[0, 1], measurements[0, 2] = 1.0, 2.0
    filled = standardise(measurements)
    assert filled[0, :4].tolist() == pytest.approx([0.6, 1.0, 2.0, 0.0], abs=1e-6)
    assert filled[1].tolist() == [0.0] * len(MEASUREMENTS)


def test_a_measurement_of_which_no_site_tells_sums_is_unknown_in_everybody() -> None:
    """In Hounsfield units beside deviations of 1 it would say no more than that it is there."""
    standardise = Standardise()
    standardise.deviation[IMAGE_STATISTICS] = 0.0
    measurements = torch.full((3, len(MEASUREMENTS)), 1.0)
    measurements[:, 0] = torch.tensor([40.0, -30.0, torch.nan])
    filled = standardise(measurements)
    assert filled[:, 0].tolist() == [0.0] * 3
    assert (filled[:, 1:] == 1).all()


def test_a_wild_measurement_is_held_within_three_deviations() -> None:
    filled = Standardise()(torch.full((1, len(MEASUREMENTS)), 50.0))
    assert filled.tolist() == [[3.0] * len(MEASUREMENTS)]


def test_clinical_variables_are_read_beside_the_measurements() -> None:
    """The heads get one input more a variable, and an unknown one is foretold by what is known."""
    settings = ModelSettings(trunk="none", clinical_variables=("age", "log_afp"))
    model = network(settings)
    age, log_afp = len(MEASUREMENTS), len(MEASUREMENTS) + 1
    model.standardise.mean[-2:] = torch.tensor([60.0, 2.0])
    model.standardise.deviation[-2:] = torch.tensor([10.0, 0.5])
    model.standardise.correlation[age, log_afp] = model.standardise.correlation[log_afp, age] = 0.4
    clinical = torch.tensor([[70.0, 2.5], [70.0, torch.nan], [torch.nan, torch.nan]])
    features = model.features(replace(roi_batch(), clinical=clinical))
    assert features.shape == (3, len(MEASUREMENTS) + 2)
    torch.testing.assert_close(
        features[:, age:], torch.tensor([[1.0, 1.0], [1.0, 0.4], [0.0, 0.0]])
    )


@pytest.mark.parametrize(
    "names",
    [("os_months",), ("mvi",), ("patient_id",), ("age", "age"), (" ",), ("log_diameter_mm",)],
)
def test_no_outcome_and_no_name_twice_is_an_input(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="columns beside the labels"):
        ModelSettings(clinical_variables=names)


def test_what_stands_for_an_unknown_is_held_like_what_is_known() -> None:
    """Fifteen others at 3 deviations, each with a correlation of 0.6: 27 would be expected."""
    standardise = Standardise()
    standardise.correlation[0, 1:] = standardise.correlation[1:, 0] = 0.6
    inputs = torch.full((1, len(MEASUREMENTS)), 3.0)
    inputs[0, 0] = torch.nan
    assert standardise(inputs).max() == 3
