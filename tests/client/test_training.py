"""What local training asks of the device that computes it."""

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensor, FakeTensorMode

from client.site import Site
from client.training import train_locally
from shared.plan import new_model
from tests.simulation.small_sites import PLAN, labelled_sites


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return labelled_sites(tmp_path_factory.mktemp("training"), {"a": 5})[0]


def test_a_round_never_waits_for_a_number(site: Site) -> None:
    """Its tensors have a shape and no values; on a GPU, to ask for one is to wait for all."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        model = new_model(PLAN)
    cpu = torch.device("cpu")
    loss = train_locally(model, site.cases, PLAN, site="a", round_number=1, device=cpu)
    assert isinstance(loss, FakeTensor)
    with pytest.raises(DataDependentOutputException):
        float(loss)
