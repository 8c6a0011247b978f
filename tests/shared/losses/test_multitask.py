"""The masked sum of three tasks."""

import math
from typing import Literal

import pytest
import torch
from torch.nn import functional

from shared.losses.cox import cox_loss
from shared.losses.multitask import LossSettings, Targets, multitask_loss, targets_from_labels
from shared.tasks import TASKS, Labels, Survival
from shared.time_grid import TimeGrid

GRID = TimeGrid((12.0, 24.0))
LABELS = [
    Labels(mvi=True, rfs=Survival(5.0, True), os=Survival(20.0, False)),
    Labels(mvi=None, rfs=None, os=Survival(13.0, True)),
    Labels(mvi=False, rfs=Survival(30.0, False), os=None),
    Labels(),
]


def outputs(n: int, columns: int = 2) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "mvi": torch.randn(n, generator=generator, requires_grad=True),
        "rfs": torch.randn(n, columns, generator=generator, requires_grad=True),
        "os": torch.randn(n, columns, generator=generator, requires_grad=True),
    }


def test_labels_become_tensors_with_unknown_as_nan() -> None:
    targets = targets_from_labels(LABELS)
    assert len(targets) == 4
    torch.testing.assert_close(
        targets.mvi, torch.tensor([1.0, math.nan, 0.0, math.nan]), equal_nan=True
    )
    assert targets.known("mvi").tolist() == [True, False, True, False]
    assert targets.known("rfs").tolist() == [True, False, True, False]
    assert targets.known("os").tolist() == [True, True, False, False]
    assert targets.os.event.tolist() == [False, True, False, False]
    assert targets.rfs.months.nan_to_num().tolist() == [5.0, 0.0, 30.0, 0.0]


def test_each_task_is_the_mean_over_its_labelled_patients() -> None:
    out = outputs(4)
    _, losses = multitask_loss(out, targets_from_labels(LABELS), LossSettings(), GRID)
    with torch.no_grad():
        mvi = (functional.softplus(-out["mvi"][0]) + functional.softplus(out["mvi"][2])) / 2
        # RFS: an event in the first year; both years survived. OS: one year survived, then
        # censored after two thirds of the second; an event in the second year.
        alive, dead = (
            {task: functional.softplus(sign * out[task]) for task in ("rfs", "os")}
            for sign in (1, -1)
        )
        rfs = (dead["rfs"][0, 0] + alive["rfs"][2].sum()) / 2
        first = alive["os"][0, 0] + 2 / 3 * alive["os"][0, 1]
        os = (first + alive["os"][1, 0] + dead["os"][1, 1]) / 2
    for task, expected in zip(TASKS, (mvi, rfs, os), strict=True):
        torch.testing.assert_close(losses[task], expected)


def test_unlabelled_patients_get_no_gradient_even_where_their_output_is_not_finite() -> None:
    out = outputs(4)
    with torch.no_grad():
        for tensor in out.values():
            tensor[3] = math.nan
    total, _ = multitask_loss(out, targets_from_labels(LABELS), LossSettings(), GRID)
    torch.autograd.backward(total)
    assert torch.isfinite(total)
    for task, known in (("mvi", [0, 2]), ("rfs", [0, 2]), ("os", [0, 1])):
        gradient = out[task].grad
        assert gradient is not None
        assert [i for i in range(4) if (gradient[i] != 0).any()] == known


@pytest.mark.parametrize("survival", ["logistic_hazard", "cox"])
def test_a_batch_without_labels_is_exactly_zero(
    survival: Literal["logistic_hazard", "cox"],
) -> None:
    out = outputs(2, 1 if survival == "cox" else 2)
    settings = LossSettings(survival=survival, mvi_label_smoothing=0.1)
    total, losses = multitask_loss(out, targets_from_labels([Labels(), Labels()]), settings, GRID)
    torch.autograd.backward(total)
    assert total.item() == 0
    assert [loss.item() for loss in losses.values()] == [0, 0, 0]
    for tensor in out.values():
        assert tensor.grad is not None
        assert (tensor.grad == 0).all()


def test_total_is_the_weighted_sum() -> None:
    settings = LossSettings(mvi_weight=0.5, rfs_weight=0.0, os_weight=2.0)
    total, losses = multitask_loss(outputs(4), targets_from_labels(LABELS), settings, GRID)
    torch.testing.assert_close(total.detach(), 0.5 * losses["mvi"] + 2.0 * losses["os"])


def test_smoothing_moves_the_target_towards_a_half() -> None:
    """Target 1 becomes 0.9 at s = 0.2; at logit z the cost is softplus(z) - 0.9 z."""
    out = outputs(1)
    settings = LossSettings(mvi_label_smoothing=0.2)
    _, losses = multitask_loss(out, targets_from_labels([Labels(mvi=True)]), settings, GRID)
    logit = out["mvi"].detach()[0]
    torch.testing.assert_close(losses["mvi"], functional.softplus(logit) - 0.9 * logit)


def test_cox_compares_patients_within_their_stratum() -> None:
    labels = [Labels(os=Survival(float(t), True)) for t in (1, 2, 3, 4)]
    out = outputs(4, 1)
    settings = LossSettings(survival="cox")
    targets = targets_from_labels(labels, strata=[0, 1, 0, 1])
    _, losses = multitask_loss(out, targets, settings, GRID)
    scores, event = out["os"][:, 0].detach(), torch.ones(2, dtype=torch.bool)
    by_site = sum(
        cox_loss(scores[rows], torch.tensor([1.0, 2.0]), event) for rows in ([0, 2], [1, 3])
    )
    torch.testing.assert_close(losses["os"], by_site / 4)


def sum_over(labels: list[Labels], out: dict[str, torch.Tensor], targets: Targets) -> torch.Tensor:
    total, _ = multitask_loss(out, targets, LossSettings(), GRID)
    return total * len(labels)


def test_hazards_of_two_sites_add_up_to_the_pooled_gradient() -> None:
    labels = [LABELS[0], Labels(True, Survival(9.0, False), Survival(14.0, True))] * 3
    out = outputs(6)
    pooled = torch.autograd.grad(
        sum_over(labels, out, targets_from_labels(labels)), list(out.values())
    )
    parts = [slice(0, 2), slice(2, 6)]
    by_site = torch.autograd.grad(
        sum(
            (
                sum_over(
                    labels[part],
                    {task: tensor[part] for task, tensor in out.items()},
                    targets_from_labels(labels[part]),
                )
                for part in parts
            ),
            torch.zeros(()),
        ),
        list(out.values()),
    )
    for one, other in zip(pooled, by_site, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    ("task", "shape"), [("mvi", (4, 1)), ("os", (4, 3)), ("rfs", (3, 2)), ("os", (4, 1))]
)
def test_refuses_an_output_of_the_wrong_shape(task: str, shape: tuple[int, ...]) -> None:
    out = {**outputs(4), task: torch.zeros(shape)}
    with pytest.raises(ValueError, match=f"output '{task}' has shape"):
        multitask_loss(out, targets_from_labels(LABELS), LossSettings(), GRID)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"survival": "weibull"}, "survival"),
        ({"mvi_weight": -1.0}, "weights"),
        ({"os_weight": math.nan}, "weights"),
        ({"mvi_weight": 0.0, "rfs_weight": 0.0, "os_weight": 0.0}, "all 0"),
        ({"mvi_label_smoothing": 1.0}, "smoothing"),
    ],
)
def test_refuses_settings_that_train_nothing_or_wrongly(
    settings: dict[str, float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        LossSettings(**settings)  # type: ignore[arg-type]
