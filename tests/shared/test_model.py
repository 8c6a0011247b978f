import pytest
import torch

from shared.losses.logistic_hazard import risk_score, survival_curve
from shared.model import ModelSettings, MultiTaskNet, RoiBatch, ranking_score
from shared.time_grid import TimeGrid

INTERVALS = 12


def roi_batch(patients: int = 3, edge: int = 24, seed: int = 0) -> RoiBatch:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.ones(patients, edge, edge, edge, dtype=torch.uint8)
    mask[:, 8:15, 8:15, 8:15] = 2
    return RoiBatch(
        phases=torch.randn(patients, 3, edge, edge, edge, generator=generator),
        mask=mask,
        present=torch.ones(patients, 3),
        spacing_mm=torch.full((patients,), 3.0),
    )


@pytest.mark.parametrize("mask_channel", [True, False])
def test_outputs_have_their_shapes(mask_channel: bool) -> None:
    model = MultiTaskNet(ModelSettings(mask_channel=mask_channel), INTERVALS)
    outputs = model(roi_batch())
    assert {task: tuple(output.shape) for task, output in outputs.items()} == {
        "mvi": (3,),
        "rfs": (3, INTERVALS),
        "os": (3, INTERVALS),
    }


def test_a_patients_output_does_not_depend_on_the_batch() -> None:
    """No statistics over the batch: a hospital's patients are judged one by one."""
    model = MultiTaskNet(ModelSettings(), INTERVALS).eval()
    batch = roi_batch()
    alone = RoiBatch(batch.phases[:1], batch.mask[:1], batch.present[:1], batch.spacing_mm[:1])
    with torch.no_grad():
        torch.testing.assert_close(model(batch)["os"][:1], model(alone)["os"], atol=1e-5, rtol=0)


def test_every_parameter_learns() -> None:
    torch.manual_seed(0)
    model = MultiTaskNet(ModelSettings(dropout=0.0), INTERVALS)
    sum(output.square().sum() for output in model(roi_batch()).values()).backward()
    silent = [
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is None or not parameter.grad.abs().sum() > 0
    ]
    assert silent == []


def test_ranking_score_orders_patients_as_their_curves_do() -> None:
    torch.manual_seed(0)
    model = MultiTaskNet(ModelSettings(), INTERVALS).eval()
    with torch.no_grad():
        logits = model(roi_batch(patients=6))["rfs"]
    order = ranking_score(logits).argsort()
    grid = TimeGrid(tuple(float(edge) for edge in range(1, INTERVALS + 1)))
    assert torch.equal(order, risk_score(logits, grid).argsort())
    for survival in survival_curve(logits).T:
        assert torch.equal(order, survival.argsort(descending=True))


def test_size_is_seen() -> None:
    """The same voxels at twice the spacing are a tumour of twice the diameter."""
    model = MultiTaskNet(ModelSettings(), INTERVALS).eval()
    small = roi_batch(1)
    large = RoiBatch(small.phases, small.mask, small.present, small.spacing_mm * 2)
    with torch.no_grad():
        difference = model.features(large) - model.features(small)
    assert difference.abs().max() == pytest.approx(torch.log(torch.tensor(2.0)).item(), abs=1e-5)
