"""Mirrors of a geometry are found, asked of the photons, and share them without counting any twice."""

import numpy as np
import pytest

from fieldfit.experiments.dune.mirrors import agreeing, coarse, heads_of, mirrors_of, pooled
from fieldfit.io.channels import Disks
from fieldfit.io.optical.box import Box

BOX = Box((0.0, -0.5, 0.0), (1.0, 0.5, 1.2), (7, 8, 9))
CENTRE = np.array([[-0.05, -0.2, 0.3], [-0.05, 0.2, 0.3], [-0.05, -0.2, 0.9], [-0.05, 0.2, 0.9], [-0.05, 0.0, 0.6]])
DISKS = Disks(CENTRE, np.tile([1.0, 0.0, 0.0], (5, 1)), np.full(5, 0.1))
PHOTONS = 1e5


def counted(seed: int = 0, tilt: float = 0.0) -> np.ndarray:
    """(channel, x, y, z) shares of photons that fall with the distance; tilt: relative change across y that the geometry knows nothing of."""
    grid = np.stack(np.meshgrid(*BOX.centres(), indexing="ij"), -1)
    square = np.stack([np.square(grid - c).sum(-1) for c in CENTRE])
    mean = 0.002 / (square + 0.05) * (1 + tilt * grid[..., 1])
    return np.random.default_rng(seed).poisson(PHOTONS * mean) / PHOTONS


def reader(values: np.ndarray, masked: np.ndarray | None = None):
    masked = np.zeros(values.shape, bool) if masked is None else masked
    return lambda c: (values[c], masked[c])


def test_the_geometrys_mirrors_are_found() -> None:
    assert {m.sign: m.image for m in mirrors_of(BOX, DISKS)} == {
        (1, 1, 1): (0, 1, 2, 3, 4),
        (1, 1, -1): (2, 3, 0, 1, 4),
        (1, -1, 1): (1, 0, 3, 2, 4),
        (1, -1, -1): (3, 2, 1, 0, 4),
    }
    moved = Disks(CENTRE + np.array([[0, 0, 0.02]] + [[0, 0, 0]] * 4), DISKS.normal, DISKS.radius)
    assert len(mirrors_of(BOX, moved)) == 1
    other = Disks(CENTRE, DISKS.normal, np.array([0.1, 0.12, 0.1, 0.12, 0.1]))
    assert {m.sign for m in mirrors_of(BOX, other)} == {(1, 1, 1), (1, 1, -1)}


def test_photons_that_agree_are_shared_and_none_is_counted_twice() -> None:
    values = counted()
    kept, told = agreeing(mirrors_of(BOX, DISKS), reader(values), PHOTONS)
    assert len(kept) == 4 and all("agree" in line for line in told)
    heads = heads_of(kept)
    assert heads.head == (0, 0, 0, 0, 1) and heads.first == (0, 4) and heads.own == (1, 4)
    total, count = pooled(heads, 0, reader(values), 1.0)
    expected = values[0] + values[1][:, ::-1] + values[2][:, :, ::-1] + values[3][:, ::-1, ::-1]
    assert np.allclose(total, expected) and (count == 4).all()
    for channel in (1, 2, 3):  # what the head holds is what each channel sees from its mirrored place
        axes = [k for k in range(3) if heads.sign[channel][k] < 0]
        assert np.allclose(np.flip(expected, axes), np.flip(total, axes))


def test_masked_voxels_are_left_out_of_the_pool() -> None:
    values, masked = counted(), np.zeros((5, *BOX.divisions), bool)
    masked[1, 2, 3, 4] = True
    total, count = pooled(heads_of(tuple(mirrors_of(BOX, DISKS))), 0, reader(values, masked), 1.0)
    assert count[2, 4, 4] == 3 and count.sum() == 4 * count.size - 1
    assert total[2, 4, 4] == pytest.approx(values[0, 2, 4, 4] + values[2, 2, 4, 4] + values[3, 2, 3, 4])


def test_an_asymmetry_that_geometry_does_not_show_is_told_and_not_shared() -> None:
    kept, told = agreeing(mirrors_of(BOX, DISKS), reader(counted(tilt=0.05)), PHOTONS)
    assert {m.sign for m in kept} == {(1, 1, 1), (1, 1, -1)}
    assert any("in y differ" in line and "not shared" in line for line in told)


def test_agreement_is_a_matter_of_chance_only() -> None:
    refused = sum(len(agreeing(mirrors_of(BOX, DISKS), reader(counted(seed)), PHOTONS)[0]) < 4 for seed in range(30))
    assert refused == 0


@pytest.mark.parametrize("n", [1, 2, 3, 6, 7, 8, 20, 41])
def test_coarse_cells_commute_with_mirrors(n: int) -> None:
    volume = np.random.default_rng(n).random((n, 3, 2))
    assert np.allclose(coarse(volume[::-1]), coarse(volume)[::-1])
    assert coarse(volume).sum() == pytest.approx(volume.sum())
