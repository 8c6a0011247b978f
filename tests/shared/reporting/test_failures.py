from dataclasses import replace

import pytest

from shared.protocol import ErrorCode
from shared.reporting.failures import failures
from tests.shared.reporting.content import report_content


@pytest.mark.parametrize("code", ErrorCode)
def test_every_code_of_the_protocol_has_words(code: ErrorCode) -> None:
    content = replace(report_content(), rounds=({"round": 2, "refused": {"site_1": code.name}},))
    told = next(failure for failure in failures(content) if failure.who == "site_1")
    assert code.name not in told.what
    assert told.when == "round 2"
