"""What the coordinator's model folder says of its training patients, from what sites described."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from server.checkpoint import Checkpoint
from server.outputs import TrainedFederation, versions, write_model
from shared.evidence.cells import Cells
from shared.evidence.description import CohortDescription, Description
from shared.evidence.follow_up import FollowUpCells
from shared.evidence.request import follow_up_grid
from shared.model_folder import CARD_FILE, read_model_folder
from shared.tasks import SurvivalTask
from tests.client.patients import SMALL
from tests.shared.model_folders import small_plan, small_weights
from tests.shared.reporting.content import report_content

PLAN = small_plan()
RUN = replace(report_content().run, versions=versions())


def left_at(*months: int) -> FollowUpCells:
    """Return follow-up in cells of one bin: two patients leave at each of these months."""
    bins = follow_up_grid(PLAN).intervals + 1
    values = np.zeros((1, bins, 2))
    values[0, [month // 3 for month in months]] = 1.0
    return FollowUpCells(Cells(np.arange(bins), values), np.arange(bins))


def described(
    site: str, cohort: str, follow_up: dict[SurvivalTask, FollowUpCells | None]
) -> Description:
    own = CohortDescription(patients=9, follow_up={"rfs": None, "os": None, **follow_up})
    assert cohort in ("training", "external")
    return Description(site, 1, {cohort: own}, {}, 0)  # type: ignore[dict-item]


def followed(folder: Path, descriptions: Sequence[Description]) -> dict[SurvivalTask, float]:
    weights = small_weights(PLAN)
    trained = TrainedFederation(RUN, PLAN, SMALL, Checkpoint(round=3, weights=weights))
    write_model(folder, trained, descriptions=descriptions)
    return dict(read_model_folder(folder)[1].followed_months)


def test_the_model_says_how_far_training_patients_were_followed(tmp_path: Path) -> None:
    """The farthest of the training sites that tell; never a site that is held out."""
    told = [
        described("a", "training", {"os": left_at(12, 60), "rfs": None}),
        described("b", "training", {"os": left_at(24, 93), "rfs": left_at(12, 48)}),
        described("c", "training", {}),
        described("held out", "external", {"os": left_at(120), "rfs": left_at(120)}),
    ]
    assert followed(tmp_path, told) == {"os": 93.0, "rfs": 48.0}
    card = (tmp_path / CARD_FILE).read_text()
    assert "RFS to 48 months, OS to 93 months" in card


@pytest.mark.parametrize("silent", [[], [described("a", "training", {})]])
def test_a_model_of_which_no_site_told_follow_up_says_that_it_is_not_known(
    silent: list[Description], tmp_path: Path
) -> None:
    assert followed(tmp_path, silent) == {}
    assert "RFS not known, OS not known" in (tmp_path / CARD_FILE).read_text()
