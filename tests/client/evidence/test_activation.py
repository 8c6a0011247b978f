"""What a site tells of its activation maps: shares as sums, under its rule."""

from dataclasses import replace

import pytest
import torch

from client.activation import activation_map
from client.batches import collate
from client.cohort import prepare_site
from client.evidence.gather import gather_evidence
from client.site import Site
from shared.activation_share import activation_shares
from shared.evidence.request import EvidenceRequest, Thresholds
from shared.model import MultiTaskNet
from shared.plan import Plan, new_model
from tests.client.patients import GOOD_ROW, SMALL, write_clinical, write_patient
from tests.shared.model_folders import small_plan, small_weights

FROZEN = EvidenceRequest(thresholds=Thresholds(mvi=0.5))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    root = tmp_path_factory.mktemp("site")
    patients = [f"p{index}" for index in range(3)]
    write_clinical(root / "a", dict.fromkeys(patients, GOOD_ROW))
    for index, patient in enumerate(patients):
        write_patient(root / "a" / patient, seed=index)
    prepared = prepare_site(root / "a", SMALL, root / "cache", workers=1, progress=False)
    return Site("a", prepared.cases, SMALL.fingerprint, minimum_count=1, role="external")


@pytest.fixture(scope="module")
def plan() -> Plan:
    return small_plan()


@pytest.fixture(scope="module")
def model(plan: Plan) -> MultiTaskNet:
    drawn = new_model(plan)
    drawn.load_state_dict({k: torch.from_numpy(v) for k, v in small_weights(plan).items()})
    return drawn.eval()


def test_shares_are_those_of_the_patients_maps(site: Site, plan: Plan, model: MultiTaskNet) -> None:
    told = gather_evidence(model, plan, site, FROZEN).cohorts["external"].activation
    batch = collate(site.cases)
    by_hand = activation_shares(activation_map(model, batch, "os"), (batch.mask == 2).numpy())
    assert told is not None
    assert told.patients == by_hand.patients > 0
    assert told.in_tumour == pytest.approx(by_hand.in_tumour, rel=1e-4)
    assert told.margin_volume == pytest.approx(by_hand.margin_volume)


def test_shares_of_too_few_are_withheld(site: Site, plan: Plan, model: MultiTaskNet) -> None:
    careful = replace(site, minimum_count=5)
    assert gather_evidence(model, plan, careful, FROZEN).cohorts["external"].activation is None


def test_maps_are_made_only_once_thresholds_are_frozen(
    site: Site, plan: Plan, model: MultiTaskNet
) -> None:
    first = gather_evidence(model, plan, site, EvidenceRequest()).cohorts["external"]
    assert first.patients == 3
    assert first.activation is None
