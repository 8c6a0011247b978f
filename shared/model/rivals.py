"""Rivals of the DenseNet: a transformer, and attention within the DenseNet."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from shared.model.settings import GROUPS, ModelSettings

_HEADS = 4
_CARE = 1e-3
_TRANSFORMER_WIDTH = 64
_TRANSFORMER_BLOCKS = 2


def stem(channels: int, width: int) -> dict[str, nn.Module]:
    """Return the first layers, as the DenseNet has them: each side ends at a quarter."""
    return {
        "conv0": nn.Conv3d(channels, width, kernel_size=3, stride=2, padding=1, bias=False),
        "norm0": nn.GroupNorm(GROUPS, width),
        "act0": nn.ELU(),
        "pool0": nn.MaxPool3d(3, stride=2, padding=1),
    }


def transformer_trunk(settings: ModelSettings, channels: int) -> nn.Sequential:
    """Return the stem and transformer blocks over an eighth of the grid."""
    trunk = nn.Sequential()
    for name, layer in stem(channels, settings.init_features).items():
        trunk.add_module(name, layer)
    trunk.add_module("embed", PatchTokens(settings.init_features, _TRANSFORMER_WIDTH))
    for index in range(_TRANSFORMER_BLOCKS):
        trunk.add_module(f"block{index + 1}", TokenBlock(_TRANSFORMER_WIDTH, settings.position))
    return trunk


def transformer_stages(settings: ModelSettings) -> dict[str, int]:
    """Return the layers whose maps are pooled, and how many channels each has."""
    blocks = {f"block{index + 1}": _TRANSFORMER_WIDTH for index in range(_TRANSFORMER_BLOCKS)}
    return {"norm0": settings.init_features, **blocks}


class PatchTokens(nn.Module):
    """One token for every 2 x 2 x 2 voxels, and where it stands."""

    def __init__(self, channels: int, width: int, edge: int = 5) -> None:
        super().__init__()
        self.project = nn.Conv3d(channels, width, kernel_size=2, stride=2)
        self.place = nn.Parameter(0.02 * torch.randn(1, width, edge, edge, edge))

    def forward(self, x: Tensor) -> Tensor:
        """Return tokens on their grid, shape (B, W, d, h, w), from maps of twice the edge."""
        tokens: Tensor = self.project(x)
        place = functional.interpolate(self.place, tokens.shape[2:], mode="trilinear")
        return tokens + place


class TokenBlock(nn.Module):
    """Attention and a perceptron, each after a layer norm and beside a shortcut.

    Parameters
    ----------
    width : int
    position : str
        ``"learned"``: known from the embedding alone; ``"cope"``: contextual positions too.
    """

    def __init__(self, width: int, position: str) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attend = ContextualAttention(width) if position == "cope" else SelfAttention(width)
        self.perceive = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return maps of the same shape, (B, W, d, h, w)."""
        tokens: Tensor = x.flatten(2).transpose(1, 2)
        tokens = tokens + self.attend(self.norm1(tokens))
        tokens = tokens + self.perceive(self.norm2(tokens))
        return tokens.transpose(1, 2).reshape(x.shape)


class SelfAttention(nn.Module):
    """Every token looks at all (Vaswani et al., arXiv 1706.03762)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.read = nn.Linear(width, 3 * width)
        self.write = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens, shape (B, N, W)."""
        query, key, value = self._split(tokens)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return cast(Tensor, self.write(mixed.transpose(1, 2).flatten(2)))

    def _split(self, tokens: Tensor) -> list[Tensor]:
        batch, count, width = tokens.shape
        read = self.read(tokens).view(batch, count, 3, _HEADS, width // _HEADS)
        return [part.transpose(1, 2) for part in read.unbind(2)]


class ContextualAttention(SelfAttention):
    """Positions counted in what a token finds worth counting (CoPE, arXiv 2405.18719).

    Tokens stand in the order of the grid, x fastest, and look at themselves and those before.
    With gates g_ij = sigmoid(q_i . k_j) the position of j seen from i is the sum of the gates
    from j to i; the logit of a position between two whole ones is interpolated.
    """

    def __init__(self, width: int, most: int = 32) -> None:
        super().__init__(width)
        self.places = nn.Parameter(torch.zeros(1, 1, width // _HEADS, most))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens, shape (B, N, W)."""
        query, key, value = self._split(tokens)
        logits = query @ key.transpose(-1, -2)
        before = torch.ones_like(logits[0, 0], dtype=torch.bool).tril()
        gates = torch.sigmoid(logits).masked_fill(~before, 0.0)
        place = gates.flip(-1).cumsum(-1).flip(-1).clamp_max(self.places.shape[-1] - 1)
        by_place = query @ self.places
        low, high = place.floor(), place.ceil()
        share = place - low
        bias = (1 - share) * by_place.gather(-1, low.long())
        bias = bias + share * by_place.gather(-1, high.long())
        weights = (logits / query.shape[-1] ** 0.5 + bias).masked_fill(~before, -torch.inf)
        mixed = weights.softmax(-1) @ value
        return cast(Tensor, self.write(mixed.transpose(1, 2).flatten(2)))


class SoftAttention(nn.Module):
    """Softmax-free attention (SOFT, arXiv 2110.11945) beside a shortcut that it begins as.

    With q = x W / d^(1/4), bottleneck tokens Q = GELU(LayerNorm(strided convolution of q)) and
    k(a, b) = exp(-|a - b|^2 / 2), the output is k(q, Q) A^-1 k(Q, q) v plus a convolution of v
    apart for every channel, A = k(Q, Q). A is solved by Cholesky's factors with a small constant
    on its diagonal: Newton's iteration does not converge where bottleneck tokens cluster.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.read = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.bottleneck = nn.Conv3d(width, width, kernel_size=2, stride=2)
        self.norm = nn.LayerNorm(width)
        self.near = nn.Conv3d(width, width, kernel_size=3, padding=1, groups=width)
        self.write = nn.Linear(width, width)
        nn.init.zeros_(self.write.weight)
        nn.init.zeros_(self.write.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return maps of the same shape, (B, W, d, h, w)."""
        tokens = x.float().flatten(2).transpose(1, 2)
        query = self.read(tokens) / x.shape[1] ** 0.25
        value = self.value(tokens)
        on_grid = query.transpose(1, 2).reshape(x.shape)
        narrow = functional.gelu(self.norm(self.bottleneck(on_grid).flatten(2).transpose(1, 2)))
        across = _gaussian(query, narrow)
        among = _gaussian(narrow, narrow) + _CARE * torch.eye(narrow.shape[1], device=x.device)
        solved = torch.cholesky_solve(across.transpose(1, 2) @ value, torch.linalg.cholesky(among))
        near = self.near(value.transpose(1, 2).reshape(x.shape)).flatten(2).transpose(1, 2)
        written = self.write(across @ solved + near)
        return cast(Tensor, x + written.transpose(1, 2).reshape(x.shape))


def _gaussian(first: Tensor, second: Tensor) -> Tensor:
    squares = first.square().sum(-1)[:, :, None] + second.square().sum(-1)[:, None, :]
    return torch.exp(first @ second.transpose(1, 2) - squares / 2)
