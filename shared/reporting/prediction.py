"""One patient's prediction on one sheet: plain values, whoever computed them."""

from dataclasses import dataclass

from shared.reporting.content import ActivationSample
from shared.tasks import SurvivalTask


@dataclass(frozen=True)
class PredictedCurve:
    """One survival task of one patient.

    Attributes
    ----------
    group : str or None
        Risk group in words.
    months, survival : tuple of float
        At the edges of the time grid, as far as training patients were followed; empty where
        the model gives no curve.
    median_months : float or None
        None where the curve does not fall to one half.
    grid_months : float or None
        Where the time grid ends; None where the model gives no curve.
    followed_months : float or None
        To which month training patients were followed; None where it is not known.
    """

    task: SurvivalTask
    group: str | None
    months: tuple[float, ...]
    survival: tuple[float, ...]
    median_months: float | None
    grid_months: float | None = None
    followed_months: float | None = None

    @property
    def end_months(self) -> float:
        """Where the curve ends; 0 where there is none."""
        return self.months[-1] if self.months else 0.0


@dataclass(frozen=True)
class PredictionSheet:
    """Everything on the sheet.

    Attributes
    ----------
    patient : str
        The folder's name; the sheet stays at the site.
    notices : tuple of str
        What must be read first: synthetic model, smoke test.
    planes : tuple of ActivationSample
        The tumour in three planes.
    warnings : tuple of str
        What is unusual compared with training, or not known.
    footer : tuple of str
        Where the model comes from.
    """

    patient: str
    notices: tuple[str, ...]
    mvi_probability: float
    mvi_threshold: float | None
    curves: tuple[PredictedCurve, ...]
    planes: tuple[ActivationSample, ...]
    phases: tuple[str, ...]
    activation_note: str
    warnings: tuple[str, ...]
    footer: tuple[str, ...]
