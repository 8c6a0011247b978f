"""Tumour core, rim and surrounding ring: where the network pools."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Region = Literal["core", "rim", "ring"]
REGIONS: tuple[Region, ...] = ("core", "rim", "ring")

RING_VOXELS = 4
_TINY = 1e-6


def region_weights(tumour: Tensor) -> Tensor:
    """Return the three regions around a tumour mask.

    The rim is one voxel to either side of the margin, where capsule and rim enhancement sit;
    the core is the tumour inside it; the ring reaches `RING_VOXELS` beyond the tumour. A
    tumour too thin to have a core is its own core.

    Parameters
    ----------
    tumour : Tensor, shape (B, D, H, W), bool

    Returns
    -------
    Tensor, shape (B, 3, D, H, W), float32
        One mask a region, in the order of `REGIONS`.
    """
    inner = ~dilate(~tumour, 1)
    outer = dilate(tumour, 1)
    has_core = inner.flatten(1).any(dim=1).view(-1, 1, 1, 1)
    core = torch.where(has_core, inner, tumour)
    ring = dilate(tumour, RING_VOXELS) & ~outer
    return torch.stack([core, outer & ~inner, ring], dim=1).float()


def dilate(mask: Tensor, voxels: int) -> Tensor:
    """Dilate masks, shape (B, D, H, W), bool, by a cube of `voxels` to each side.

    Along each axis a mask joined with itself shifted by up to twice its reach plus one voxel
    has no gap, so that the reach trebles with every step.
    """
    for axis in (1, 2, 3):
        reach = 0
        while reach < voxels:
            step = min(2 * reach + 1, voxels - reach)
            kept = mask.shape[axis] - step
            wider = mask.clone()
            wider.narrow(axis, step, kept).logical_or_(mask.narrow(axis, 0, kept))
            wider.narrow(axis, 0, kept).logical_or_(mask.narrow(axis, step, kept))
            mask, reach = wider, reach + step
    return mask


def resample_regions(regions: Tensor, shape: torch.Size) -> Tensor:
    """Return regions, shape (B, R, D, H, W), as occupancies on a coarser grid."""
    depth, height, width = shape
    return functional.adaptive_avg_pool3d(regions, (depth, height, width))


def region_moments(maps: Tensor, regions: Tensor, *, order: Literal[1, 2]) -> Tensor:
    """Return mean, and standard deviation if asked, of every map within every region.

    Parameters
    ----------
    maps : Tensor, shape (B, C, D, H, W)
    regions : Tensor, shape (B, R, D, H, W)
        Weights >= 0; a region of no weight has moments of zero.
    order : {1, 2}

    Returns
    -------
    Tensor, shape (B, order * C, R)
    """
    weights = regions.flatten(2)
    total = weights.sum(2).unsqueeze(1) + _TINY
    flat = maps.flatten(2)
    mean = torch.einsum("bcn,brn->bcr", flat, weights) / total
    if order == 1:
        return mean
    square = torch.einsum("bcn,brn->bcr", flat.square(), weights) / total
    deviation = (square - mean.square()).clamp_min(_TINY).sqrt()
    return torch.cat([mean, deviation], dim=1)
