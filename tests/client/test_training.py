"""What local training asks of the device that computes it."""

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensor, FakeTensorMode

from client.site import Site
from client.training import train_locally
from shared.plan import Plan, new_model
from tests.simulation.small_sites import PLAN, labelled_sites


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return labelled_sites(tmp_path_factory.mktemp("training"), {"a": 5})[0]


def train_without_numbers(site: Site, plan: Plan) -> Tensor:
    """Train on tensors that have a shape and no values: to ask for a value raises."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        model = new_model(plan)
    return train_locally(
        model, site.cases, plan, site="a", round_number=1, device=torch.device("cpu")
    )


def test_a_round_never_waits_for_a_number(site: Site) -> None:
    """On a GPU whoever asks for one waits until all that was queued is computed."""
    loss = train_without_numbers(site, PLAN)
    assert isinstance(loss, FakeTensor)
    with pytest.raises(DataDependentOutputException):
        float(loss)
