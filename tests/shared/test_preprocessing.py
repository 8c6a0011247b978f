from dataclasses import replace

import pytest

from shared.config import ConfigurationError, build
from shared.preprocessing import PreprocessingSettings


def test_equal_settings_have_equal_fingerprints() -> None:
    assert PreprocessingSettings().fingerprint == PreprocessingSettings().fingerprint
    assert (
        replace(PreprocessingSettings(), margin_mm=5.0).fingerprint
        != PreprocessingSettings().fingerprint
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"shape": [4, 40, 40]}, "at least 8"),
        ({"spacing_mm": -1.0}, "spacing_mm must be finite and > 0"),
        ({"margin_mm": 80.0}, "leaves no room"),
        ({"window_hu": [300, -100]}, "window_hu must be"),
        ({"window_hu": [-100.0, float("inf")]}, "window_hu must be"),
        ({"margin_mm": float("nan")}, "margin_mm must be"),
        ({"normalisation": "zscore"}, "normalisation"),
        ({"spacing": 2.0}, "preprocessing.spacing "),
    ],
)
def test_a_wrong_value_is_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        build(PreprocessingSettings, values, where="preprocessing")
