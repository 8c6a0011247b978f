import pytest

from shared.config import ConfigurationError, build, from_json, to_json
from shared.plan import OptimisationSettings, Plan


def test_a_plan_survives_the_wire() -> None:
    plan = Plan(seed=3, rounds=7, preprocessing="abc")
    assert from_json(Plan, to_json(plan), where="plan") == plan


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rounds": 0}, "rounds must be at least 1"),
        ({"rounds": "many"}, "plan.rounds"),
        ({"roundz": 3}, "plan.roundz"),
        ({"optimisation": {"learning_rat": 1.0}}, "plan.optimisation.learning_rat"),
        ({"optimisation": {"batch_size": 0}}, "batch_size must be at least 1"),
        ({"model": {"dropout": 1.0}}, "dropout must lie"),
    ],
)
def test_a_wrong_value_is_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        build(Plan, values, where="plan")


def test_what_is_wrong_between_values_is_told_without_all_of_them() -> None:
    with pytest.raises(ConfigurationError) as caught:
        build(Plan, {"algorithm": {"control_variates": True}}, where="plan")
    assert str(caught.value).endswith("choose optimisation=sgd")


def test_an_absent_key_takes_its_default() -> None:
    assert build(OptimisationSettings, {"batch_size": 3}, where="o").learning_rate > 0
