import numpy as np
import torch
from scipy import ndimage

from shared.regions import REGIONS, dilate, region_moments, region_weights


def random_masks(seed: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random((2, 9, 10, 11)) > 0.97)


def test_dilation_agrees_with_scipy() -> None:
    masks = random_masks(0)
    for voxels in (1, 2, 3, 4, 5):
        cube = np.ones((2 * voxels + 1,) * 3, dtype=bool)
        expected = [ndimage.binary_dilation(mask, cube) for mask in masks.numpy()]
        np.testing.assert_array_equal(dilate(masks, voxels).numpy(), expected)


def test_regions_of_a_cube() -> None:
    """A cube of edge 5: core 3^3, rim 7^3 - 3^3, ring 13^3 - 7^3, by counting voxels."""
    tumour = torch.zeros(1, 20, 20, 20, dtype=torch.bool)
    tumour[:, 7:12, 7:12, 7:12] = True
    counts = region_weights(tumour).flatten(2).sum(2)[0]
    assert REGIONS == ("core", "rim", "ring")
    assert counts.tolist() == [27, 343 - 27, 2197 - 343]


def test_a_thin_tumour_is_its_own_core() -> None:
    tumour = torch.zeros(1, 8, 8, 8, dtype=torch.bool)
    tumour[:, 4, 2:6, 2:6] = True
    assert region_weights(tumour)[0, 0].sum() == 16


def test_moments_are_weighted_mean_and_deviation() -> None:
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(2, 3, 4, 5, 6, generator=generator)
    regions = torch.rand(2, 3, 4, 5, 6, generator=generator)
    moments = region_moments(maps, regions, order=2)
    flat, weights = maps[1, 2].flatten().numpy(), regions[1, 0].flatten().numpy()
    mean = np.average(flat, weights=weights)
    deviation = np.sqrt(np.average((flat - mean) ** 2, weights=weights))
    np.testing.assert_allclose(moments[1, 2, 0], mean, atol=1e-5)
    np.testing.assert_allclose(moments[1, 5, 0], deviation, atol=1e-5)


def test_an_empty_region_has_no_moments() -> None:
    moments = region_moments(torch.ones(1, 1, 2, 2, 2), torch.zeros(1, 1, 2, 2, 2), order=1)
    assert moments.tolist() == [[[0.0]]]
