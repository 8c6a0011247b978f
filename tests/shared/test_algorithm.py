import pytest

from shared.algorithm import AlgorithmSettings
from shared.model import ModelSettings
from shared.plan import Plan


@pytest.mark.parametrize(
    ("settings", "optimiser", "name"),
    [
        (AlgorithmSettings(), "fedavg", "fedavg"),
        (AlgorithmSettings(), "fedadam", "fedadam"),
        (AlgorithmSettings(proximal_mu=0.1), "fedavg", "fedprox"),
        (AlgorithmSettings(control_variates=True), "fedavg", "scaffold"),
        (AlgorithmSettings(personal="heads"), "fedavg", "fedper"),
        (AlgorithmSettings(0.1, personal="norms"), "fedavg", "fedprox-fedbn"),
        (AlgorithmSettings(proximal_mu=0.1), "fedavgm", "fedprox-fedavgm"),
    ],
)
def test_the_name_says_what_differs_from_plain_averaging(
    settings: AlgorithmSettings, optimiser: str, name: str
) -> None:
    assert settings.name_with(optimiser) == name


@pytest.mark.parametrize("mu", [-0.1, float("nan"), float("inf")])
def test_a_proximal_term_that_makes_no_sense_is_refused(mu: float) -> None:
    with pytest.raises(ValueError, match="proximal_mu"):
        AlgorithmSettings(proximal_mu=mu)


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(ValueError, match="personal must be none"):
        AlgorithmSettings(control_variates=True, personal="heads")
    with pytest.raises(ValueError, match="choose optimisation=sgd"):
        Plan(algorithm=AlgorithmSettings(control_variates=True))
    with pytest.raises(ValueError, match="needs a trunk"):
        Plan(model=ModelSettings(trunk="none"), algorithm=AlgorithmSettings(personal="norms"))
