"""What only one machine can show beside the federation's sums: activation maps of patients."""

import numpy as np
from numpy.typing import NDArray

from client.activation import activation_map
from client.batches import collate
from server.checkpoint import Checkpoint
from server.federation import best_weights
from shared.metrics.predictions import Predictions
from shared.reporting.content import ActivationSample
from shared.reporting.estimates import percent_text
from shared.results import Cohort
from shared.tasks import PHASES, TUMOUR_LABEL
from simulation.evaluation import Evaluated, load_model
from simulation.methods import FederationData
from simulation.settings import SimulationSettings

SAMPLES = 4
GREY_RANGE = (-2.0, 2.5)  # normalised intensities shown from black to white
HORIZON_MONTHS = 36.0


def activation_samples(
    settings: SimulationSettings,
    data: FederationData,
    checkpoint: Checkpoint,
    result: Evaluated,
) -> tuple[ActivationSample, ...]:
    """Show patients of the external site, or of internal validation where there is none.

    Those with the highest and the lowest predicted risk of death, by turns.
    """
    cohort: Cohort = "external" if data.external else "internal"
    cases, rows = data.cohort(cohort).cases, result.predictions[cohort]
    if not cases:
        return ()
    order = np.argsort(-rows.os.risk, kind="stable").tolist()
    chosen = [order.pop(0 if turn % 2 == 0 else -1) for turn in range(min(SAMPLES, len(order)))]
    model = load_model(settings.plan, best_weights(checkpoint))
    batch = collate([cases[index] for index in chosen], settings.model.clinical_variables)
    maps = activation_map(model, batch, "os")
    images = _grey(batch.phases.numpy(), batch.present.numpy())
    tumours = batch.mask.numpy() == TUMOUR_LABEL
    return tuple(
        _sample(images[k], maps[k], tumours[k], _caption(rows, index, settings))
        for k, index in enumerate(chosen)
    )


def _grey(phases: NDArray[np.float32], present: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return one phase a patient, the portal venous one where it is there, in [0, 1]."""
    preferred = [PHASES.index(phase) for phase in ("portal_venous", "arterial", "delayed")]
    shown = [next(i for i in preferred if flags[i] > 0) for flags in present]
    low, high = GREY_RANGE
    return np.clip(
        (np.stack([p[i] for p, i in zip(phases, shown, strict=True)]) - low) / (high - low), 0, 1
    )


def _sample(
    image: NDArray[np.float64],
    activation: NDArray[np.float32],
    tumour: NDArray[np.bool_],
    caption: str,
) -> ActivationSample:
    """Return the axial slice with the most tumour."""
    level = int(tumour.sum(axis=(1, 2)).argmax())
    return ActivationSample(
        image=image[level],
        activation=activation[level].astype(np.float64),
        tumour=tumour[level],
        caption=caption,
    )


def _caption(rows: Predictions, index: int, settings: SimulationSettings) -> str:
    parts = [f"MVI {percent_text(rows.mvi_probability[index])}"]
    edges = settings.time_grid_months
    if rows.os.survival.shape[1] and HORIZON_MONTHS in edges:
        survival = rows.os.survival[index, edges.index(HORIZON_MONTHS)]
        parts.append(f"alive at 3 years {percent_text(survival)}")
    return "Predicted: " + ", ".join(parts)
