"""The model folder with MONAI's own tools, offline."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, verify_net_in_out

from shared.bundle_network import BundleNetwork, output_channels, pack, unpack
from shared.losses.logistic_hazard import survival_curve
from shared.measurements import MEASUREMENTS
from shared.model import RoiBatch
from shared.model_folder import read_model_folder
from tests.shared.model_folders import small_plan, write_small_model

# Mandatory by MONAI's bundle specification.
MANDATORY = {
    "version",
    "monai_version",
    "pytorch_version",
    "numpy_version",
    "required_packages_version",
    "task",
    "description",
    "authors",
    "copyright",
    "network_data_format",
}
TENSOR_KEYS = {
    "type",
    "format",
    "modality",
    "num_channels",
    "spatial_shape",
    "dtype",
    "value_range",
    "is_patch_data",
    "channel_def",
}


def batch(seed: int = 0) -> RoiBatch:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.ones(2, 16, 16, 16, dtype=torch.uint8)
    mask[:, 5:10, 5:10, 5:10] = 2
    phases = torch.randn(2, 3, 16, 16, 16, generator=generator)
    phases[1, 2] = 0
    present = torch.tensor([[1.0, 1, 1], [1, 1, 0]])
    measurements = torch.randn(2, len(MEASUREMENTS), generator=generator)
    measurements[1, -3:] = torch.nan
    return RoiBatch(
        phases, mask, present, torch.tensor([5.0, 6.5]), measurements, torch.empty(2, 0)
    )


@pytest.fixture(scope="module", params=["logistic_hazard", "cox"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_model(tmp_path_factory.mktemp("bundle") / "model", request.param)


def parser_of(folder: Path) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config(str(folder / "configs" / "inference.json"))
    parser.read_meta(str(folder / "configs" / "metadata.json"))
    parser["bundle_root"] = str(folder)
    return parser


def test_the_metadata_has_what_the_specification_asks_for(folder: Path) -> None:
    metadata = json.loads((folder / "configs" / "metadata.json").read_text())
    assert metadata.keys() >= MANDATORY
    formats = metadata["network_data_format"]
    for tensor in (formats["inputs"]["image"], formats["outputs"]["pred"]):
        assert tensor.keys() >= TENSOR_KEYS
        assert len(tensor["channel_def"]) == tensor["num_channels"]
    assert formats["inputs"]["image"]["spatial_shape"] == [16, 16, 16]


def test_monai_verifies_the_network_against_its_metadata(folder: Path) -> None:
    verify_net_in_out(
        net_id="network",
        meta_file=str(folder / "configs" / "metadata.json"),
        config_file=str(folder / "configs" / "inference.json"),
        device="cpu",
        bundle_root=str(folder),
    )


def test_the_network_of_the_bundle_is_the_network(folder: Path) -> None:
    network = parser_of(folder).get_parsed_content("network")
    assert isinstance(network, BundleNetwork)
    model, about = read_model_folder(folder)
    with torch.no_grad():
        out = network(pack(batch()))
        outputs = model(batch())
    assert out.shape == (2, len(output_channels(about.plan)))
    np.testing.assert_allclose(out[:, 0], torch.sigmoid(outputs["mvi"]), rtol=0, atol=1e-6)
    if about.plan.loss.survival == "logistic_hazard":
        edges = about.plan.time_grid.intervals
        np.testing.assert_allclose(out[:, 1 : 1 + edges], survival_curve(outputs["rfs"]), atol=1e-6)
        np.testing.assert_allclose(out[:, 1 + edges :], survival_curve(outputs["os"]), atol=1e-6)
    else:
        np.testing.assert_allclose(out[:, 1:2], outputs["rfs"], atol=1e-6)


def test_the_preprocessing_of_the_bundle_is_that_of_the_plan(folder: Path) -> None:
    settings = parser_of(folder).get_parsed_content("preprocessing")
    assert settings.fingerprint == small_plan().preprocessing


def test_a_batch_survives_as_one_tensor() -> None:
    original, back = batch(), unpack(pack(batch()))
    for name in ("phases", "mask", "present", "spacing_mm", "measurements"):
        torch.testing.assert_close(getattr(back, name), getattr(original, name), equal_nan=True)


def test_clinical_variables_survive_as_voxels() -> None:
    clinical = torch.tensor([[63.0, torch.nan], [torch.nan, 0.5]])
    back = unpack(pack(replace(batch(), clinical=clinical)), 2)
    torch.testing.assert_close(back.clinical, clinical, equal_nan=True)
    torch.testing.assert_close(back.measurements, batch().measurements, equal_nan=True)
