import pytest

from shared.algorithm import AlgorithmSettings


@pytest.mark.parametrize(
    ("settings", "optimiser", "name"),
    [
        (AlgorithmSettings(), "fedavg", "fedavg"),
        (AlgorithmSettings(), "fedadam", "fedadam"),
        (AlgorithmSettings(proximal_mu=0.1), "fedavg", "fedprox"),
        (AlgorithmSettings(control_variates=True), "fedavg", "scaffold"),
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
