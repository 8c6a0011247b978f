"""Which part of the model is a site's own."""

from client.personal import personal_keys
from shared.model import ModelSettings
from shared.plan import Plan, new_model

MODEL = new_model(Plan(model=ModelSettings(init_features=8, growth_rate=4, block_config=(2,))))


def test_heads_are_all_that_reads_the_features() -> None:
    keys = personal_keys(MODEL, "heads")
    assert {key.split(".")[1] for key in keys} == {"shared_risk", "mvi", "rfs", "os"}
    assert all(key.startswith("heads.") for key in keys)


def test_norms_are_scale_and_shift_of_every_normalisation_and_nothing_else() -> None:
    keys = personal_keys(MODEL, "norms")
    assert {"trunk.norm0.weight", "trunk.norm0.bias", "trunk.norm5.weight"} <= keys
    state = MODEL.state_dict()
    assert all(state[key].ndim == 1 for key in keys)
    scales = {key for key in keys if key.endswith(".weight")}
    assert all((state[key] == 1).all() for key in scales)
    rest = {key for key, _ in MODEL.named_parameters()} - keys
    assert not any("norm" in key for key in rest)


def test_by_default_nothing_is() -> None:
    assert personal_keys(MODEL, "none") == frozenset()
