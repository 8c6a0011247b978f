"""The rivals of the DenseNet, against their formulas written out."""

import torch

from shared.model.rivals import ContextualAttention, SoftAttention


def test_contextual_positions_are_sums_of_gates() -> None:
    """CoPE by loops: p_ij = sum over j <= t <= i of sigmoid(q_i . k_t), between two whole ones."""
    torch.manual_seed(0)
    attend = ContextualAttention(8, most=4)
    torch.nn.init.normal_(attend.places)
    tokens = torch.randn(1, 6, 8)
    query, key, value = attend._split(tokens)
    heads = []
    for head in range(query.shape[1]):
        q, k, v, e = query[0, head], key[0, head], value[0, head], attend.places[0, 0]
        rows = []
        for i in range(6):
            logits = []
            for j in range(i + 1):
                place = min(sum(torch.sigmoid(q[i] @ k[t]).item() for t in range(j, i + 1)), 3)
                low, high = int(place), min(int(place) + 1, 3)
                bias = (high - place) * (q[i] @ e[:, low]) + (place - low) * (q[i] @ e[:, high])
                bias = q[i] @ e[:, low] if low == high else bias
                logits.append(q[i] @ k[j] / 2**0.5 + bias)
            rows.append(torch.stack(logits).softmax(0) @ v[: i + 1])
        heads.append(torch.stack(rows))
    expected = attend.write(torch.cat(heads, dim=1))
    torch.testing.assert_close(attend(tokens)[0], expected)


def test_soft_attention_solves_what_its_formula_inverts() -> None:
    torch.manual_seed(0)
    attend = SoftAttention(8)
    torch.nn.init.normal_(attend.write.weight)
    maps = torch.randn(2, 8, 4, 4, 4)
    tokens = maps.flatten(2).transpose(1, 2)
    query, value = attend.read(tokens) / 8**0.25, attend.value(tokens)
    strided = attend.bottleneck(query.transpose(1, 2).reshape(maps.shape))
    narrow = torch.nn.functional.gelu(attend.norm(strided.flatten(2).transpose(1, 2)))

    def kernel(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.exp(-(a[:, :, None] - b[:, None]).square().sum(-1) / 2)

    inverse = torch.linalg.inv(kernel(narrow, narrow) + 1e-3 * torch.eye(8))
    near = attend.near(value.transpose(1, 2).reshape(maps.shape)).flatten(2).transpose(1, 2)
    mixed = kernel(query, narrow) @ inverse @ kernel(narrow, query) @ value + near
    expected = maps + attend.write(mixed).transpose(1, 2).reshape(maps.shape)
    torch.testing.assert_close(attend(maps), expected, atol=1e-4, rtol=1e-4)


def test_soft_attention_begins_as_a_shortcut() -> None:
    attend = SoftAttention(8)
    maps = torch.randn(1, 8, 4, 4, 4)
    torch.testing.assert_close(attend(maps), maps)
