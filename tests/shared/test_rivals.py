"""The rivals of the DenseNet, against their formulas written out."""

from dataclasses import replace

import pytest
import torch

from shared.measurements import MEASUREMENTS
from shared.model import ModelSettings
from shared.model.batch import enlarged_centre
from shared.model.rivals import ContextualAttention, SoftAttention
from tests.shared.test_model import network, roi_batch


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


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_mirrored_predictions_do_not_know_a_side(axis: int) -> None:
    """The mean over an image and its mirror images; those of a mirror image hold the same two."""
    batch = roi_batch()
    mirrored = replace(batch, phases=batch.phases.flip(axis + 1), mask=batch.mask.flip(axis))
    plain, both = (network(ModelSettings(mirrored=on)).eval() for on in (False, True))
    with torch.no_grad():
        each = [plain.pool(one) for one in (batch, mirrored)]
        assert not torch.allclose(each[0], each[1], atol=1e-4)
        others = [
            replace(batch, phases=batch.phases.flip(other + 1), mask=batch.mask.flip(other))
            for other in {1, 2, 3} - {axis}
        ]
        mean = torch.stack([*each, *(plain.pool(one) for one in others)]).mean(dim=0)
        torch.testing.assert_close(both.pool(batch), mean)


def test_an_absent_phase_says_nothing_where_phases_go_apart() -> None:
    model = network(ModelSettings(phases="apart")).eval()
    torch.nn.init.normal_(model.centre.mean)
    batch = replace(roi_batch(), present=torch.tensor([[1.0, 0.0, 1.0]]).repeat(3, 1))
    other = replace(batch, phases=batch.phases.clone())
    other.phases[:, 1] += 5.0
    with torch.no_grad():
        assert torch.equal(model(batch)["os"], model(other)["os"])
        seen = replace(other, present=torch.ones(3, 3))
        assert not torch.equal(model(seen)["os"], model(other)["os"])


def test_what_is_foretold_is_told_beside_the_tasks() -> None:
    model = network(ModelSettings(auxiliary_weight=0.5))
    torch.nn.init.zeros_(model.foretell.weight)
    torch.nn.init.ones_(model.foretell.bias)
    batch = roi_batch()
    missed = model.eval()(batch)["unforetold"]
    torch.testing.assert_close(missed, 1 - batch.measurements.clamp(-3, 3))
    assert missed.shape == (3, len(MEASUREMENTS))


def test_what_is_clipped_to_the_liver_does_not_know_its_surroundings() -> None:
    batch = roi_batch()
    mask = batch.mask.clone()
    mask[:, :, :, 20:] = 0
    outside = batch.phases.clone()
    outside[..., 20:] += 1.0
    for clipped in (False, True):
        model = network(ModelSettings(liver_clipped=clipped)).eval()
        with torch.no_grad():
            seen = [
                model.pool(replace(batch, mask=mask, phases=p)) for p in (batch.phases, outside)
            ]
        assert torch.equal(*seen) == clipped


def test_the_trunk_sees_the_inner_half_enlarged_beside_the_whole() -> None:
    """Every voxel of the inner half becomes two along each axis; maps of both are read."""
    batch = roi_batch()
    inner = batch.mask[:, 6:18, 6:18, 6:18]
    for axis in (1, 2, 3):
        inner = inner.repeat_interleave(2, dim=axis)
    close = enlarged_centre(batch)
    assert torch.equal(close.mask, inner)
    assert torch.equal(close.spacing_mm, batch.spacing_mm / 2)
    plain, both = (network(ModelSettings(close_up=on)).eval() for on in (False, True))
    with torch.no_grad():
        expected = torch.cat([plain.pool(batch), plain.pool(close)], dim=1)
        torch.testing.assert_close(both.pool(batch), expected)


@pytest.mark.parametrize(
    "words",
    [{"mirrored": True}, {"phases": "apart"}, {"close_up": True}, {"auxiliary_weight": 0.1}],
)
def test_nothing_is_asked_of_a_trunk_that_is_not_there(words: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="need a trunk"):
        ModelSettings(trunk="none", **words)  # type: ignore[arg-type]
