"""A sound library has no findings; holes, inflated voxels and a wrong geometry are found and named."""

import numpy as np
import pytest
from scipy import ndimage

from fieldfit.config.dune import Quality
from fieldfit.experiments.dune.hot_spots import share_of
from fieldfit.experiments.dune.library import Checked, check_library, counting_std, scatter_photons
from fieldfit.experiments.dune.mirrors import mirrors_of
from fieldfit.experiments.dune.neighbours import amid_light, fill_masked, jumps, medians
from fieldfit.io.channels import Disks
from fieldfit.io.optical.box import Box
from fieldfit.simulate.optics import disk_share
from fieldfit.types import InputError, VoxelQuality

BOX = Box((0.0, -0.6, 0.0), (1.0, 0.6, 2.0), (10, 12, 20))
PHOTONS = 50_000.0
CENTRE = np.array([[-0.05, -0.3, 0.3], [-0.05, 0.3, 0.9], [-0.05, -0.2, 1.6], [0.5, 0.65, 1.0]])
DISKS = Disks(CENTRE, np.array([[1.0, 0, 0]] * 3 + [[0, -1.0, 0]]), np.full(4, 0.1))


def library(disks: Disks = DISKS, photons: float = PHOTONS, seed: int = 0) -> np.ndarray:
    """(channel, x, y, z): solid angle and attenuation, counted."""
    grid = np.stack(np.meshgrid(*BOX.centres(), indexing="ij"), -1)
    mean = []
    for centre, normal, radius in zip(disks.centre, disks.normal, disks.radius, strict=True):
        away = grid - centre
        height, square = away @ normal, np.square(away).sum(-1)
        mean.append((disk_share(height, np.sqrt(np.maximum(square - height**2, 0)), radius) + 3e-4) * np.exp(-np.sqrt(square) / 2))
    counted = np.random.default_rng(seed).poisson(photons * np.array(mean)) / photons
    return np.where(counted > 0, counted, np.nan).astype(np.float32)


ACCEPTED = Quality(misplaced_sensors="accept")


def check(values: np.ndarray, disks: Disks = DISKS, photons: float | None = PHOTONS, quality: Quality = ACCEPTED) -> Checked:
    return check_library(values, BOX, disks, photons, "total", quality)


def findings(values: np.ndarray, disks: Disks = DISKS) -> str:
    return "\n".join(check(values, disks).findings)


def test_a_sound_library_has_no_findings() -> None:
    assert findings(library()) == ""


def test_lost_jobs_are_masked_as_holes() -> None:
    values = library()
    line = values.transpose(0, 3, 2, 1).reshape(4, -1).copy()
    line[:, 700:725] = np.nan
    values = line.reshape(4, 20, 12, 10).transpose(0, 3, 2, 1)
    checked = check(values)
    assert "25 of 2400 voxels have no row in any channel amid light, in 1 runs of consecutive voxels (the longest 25)" in checked.findings[0]
    assert (checked.quality == VoxelQuality.masked).sum() == 100
    filled = np.array([fill_masked(checked.values(c), checked.quality[c] == VoxelQuality.masked) for c in range(4)])
    whole = np.nan_to_num(library())
    assert np.abs(filled - whole)[checked.quality == VoxelQuality.masked].mean() < 0.5 * whole.mean()


def test_an_inflated_voxel_and_a_lost_row_are_masked() -> None:
    values = library()
    values[1, 4, 6, 10] *= 5
    values[2, 2, 4, 15] = np.nan
    checked = check(values)
    assert checked.quality[1, 4, 6, 10] == VoxelQuality.masked and checked.quality[2, 2, 4, 15] == VoxelQuality.masked
    assert "channel 1: 1 voxels differ from their neighbours by more than a factor 2" in "\n".join(checked.findings)


@pytest.mark.parametrize(("axis", "name"), [(1, "y"), (2, "z")])
def test_a_mirrored_geometry_is_named(axis: int, name: str) -> None:
    told = findings(np.flip(library(), axis + 1))
    assert f"mirrored along {name}" in told


def test_a_shifted_geometry_is_named() -> None:
    shifted = Disks(CENTRE + [0, 0, 0.3], DISKS.normal, DISKS.radius)
    told = findings(library(), shifted)
    assert "not at their sensors" in told and "shifted by" in told


def test_two_swapped_channels_are_named() -> None:
    many = Disks(np.concatenate([CENTRE, CENTRE + [0, 0, 0.2]])[:7], np.tile([1.0, 0, 0], (7, 1)), np.full(7, 0.1))
    many = Disks(many.centre, np.concatenate([DISKS.normal, DISKS.normal])[:7], many.radius)
    told = findings(library(many)[[1, 0, 2, 3, 4, 5, 6]], many)
    assert "channels 0, 1 swapped or misplaced" in told


def test_a_wrong_geometry_is_an_error_unless_it_is_accepted_or_masked() -> None:
    with pytest.raises(InputError, match=r"library: geometry: .*mirrored along z, expected them at their sensors .policy quality.misplaced_sensors"):
        check(np.flip(library(), 3), quality=Quality())
    many = Disks(np.concatenate([CENTRE, CENTRE + [0, 0, 0.2]])[:7], np.tile([1.0, 0, 0], (7, 1)), np.full(7, 0.1))
    swapped = library(many)[[1, 0, 2, 3, 4, 5, 6]]
    checked = check(swapped, many, quality=Quality(misplaced_sensors="mask"))
    assert (checked.quality[:2] == VoxelQuality.masked).all() and not (checked.quality[3] == VoxelQuality.masked).all()
    with pytest.raises(InputError, match="nothing is left to fit"):
        check(np.flip(library(), 3), quality=Quality(misplaced_sensors="mask"))


def test_divisions_that_agree_with_each_other_and_not_with_the_rows_are_an_error() -> None:
    swapped = library().transpose(0, 3, 2, 1).reshape(4, -1).reshape(4, 20, 10, 12).transpose(0, 3, 2, 1)  # NDivX and NDivY exchanged
    box = Box(BOX.lower, BOX.upper, (12, 10, 20))
    with pytest.raises(InputError, match=r"hottest voxels of . of 4 channels are not at their sensors"):
        check_library(swapped, box, DISKS, PHOTONS, "total", Quality())


def test_holes_and_hot_voxels_follow_their_policies() -> None:
    values = library()
    values[1, 4, 6, 10] *= 5
    values[2, 2, 4, 15] = np.nan
    kept = check(values, quality=Quality(holes="accept", hot_voxels="accept"))
    assert not (kept.quality == VoxelQuality.masked).any() and len(kept.findings) == 3
    assert kept.findings[0].endswith("; taken for zeros") and kept.findings[1].endswith("(first: Voxel 1264); kept")
    for key in ("holes", "hot_voxels"):
        with pytest.raises(InputError, match=f"policy quality.{key}: error"):
            check(values, quality=Quality(**{key: "error"}))


def test_bad_values_are_masked_and_no_holes() -> None:
    values, bad = library(), np.zeros((4, 10, 12, 20), bool)
    bad[1], bad[2, 2, 4, 15] = True, True
    values[bad] = np.nan
    flags = np.where(bad, VoxelQuality.masked, VoxelQuality.good).astype(np.int8)
    checked = check_library(values, BOX, DISKS, PHOTONS, "total", Quality(), flags)
    assert checked.findings == () and np.array_equal(checked.quality == VoxelQuality.masked, bad)


def test_unequal_mirror_images_are_told() -> None:
    pair = Disks(np.array([[-0.05, 0.0, 0.3], [1.05, 0.0, 0.3]]), np.array([[1.0, 0, 0], [-1.0, 0, 0]]), np.full(2, 0.1))
    assert {m.sign for m in mirrors_of(BOX, pair)} == {(1, 1, 1), (-1, 1, 1), (1, -1, 1), (-1, -1, 1)}
    values = library(pair)
    assert check(values, pair).findings == ()
    values[1] *= 0.9
    checked = check(values, pair)
    assert "channels 0 and 1 are mirror images along x, and 1 gets 90.1 % of the light of 0" in checked.findings[0] and checked.findings[0].endswith(
        "; kept"
    )
    assert not (checked.quality == VoxelQuality.masked).any()


def test_photons_of_each_voxel_make_its_uncertainty() -> None:
    made = np.full(BOX.divisions, 1e4)
    made[0, 0, 0] = 0
    checked = check_library(library(photons=1e4), BOX, DISKS, made, "total", ACCEPTED)
    assert checked.photons == 1e4 and "photons made in each voxel" in checked.counting
    for c in range(4):
        std = checked.std(c)
        assert np.allclose(std[1:], counting_std(checked.values(c), 1e4)[1:]) and std[0, 0, 0] >= 0.99


def test_a_channel_without_light_is_named() -> None:
    values = library()
    values[2] = np.nan
    assert "channels 2 have no light anywhere" in findings(values)


def test_photons_are_estimated_from_the_scatter_between_neighbours() -> None:
    checked = check(library(), photons=None)
    assert abs(checked.photons / PHOTONS - 1) < 0.1
    assert checked.counting.startswith("estimated") and "photons_per_voxel is not given" in checked.findings[0]
    assert abs(scatter_photons(np.nan_to_num(library(photons=5000.0))) / 5000 - 1) < 0.15


def test_counting_pulls_have_width_one() -> None:
    many = np.array([np.nan_to_num(library(seed=s)) for s in range(40)])
    pulls = (many - many.mean(0)) / counting_std(many, PHOTONS)
    assert abs(pulls[:, many.mean(0) > 1e-4].std() - 1) < 0.05
    assert np.allclose(counting_std(np.zeros(1, np.float32), 1000.0), 1e-3)


def test_neighbours_give_what_filters_over_the_whole_volume_give() -> None:
    random = np.random.default_rng(3)
    values = random.exponential(1.0, (7, 6, 9)).astype(np.float32)
    footprint = np.ones((3, 3, 3), bool)
    footprint[1, 1, 1] = False
    usual = ndimage.median_filter(values, footprint=footprint, mode="nearest")
    assert np.array_equal(medians(values, np.argwhere(values > -1)).reshape(values.shape), usual)
    ring = ndimage.generate_binary_structure(3, 1)
    ring[1, 1, 1] = False
    dark = np.where(random.random(values.shape) < 0.4, np.float32(0), values)
    expected = (ndimage.median_filter(dark, footprint=ring, mode="nearest") > 0.5) & (dark == 0)
    assert np.array_equal(amid_light(dark, 0.5) & (dark == 0), expected)


def test_every_jump_is_found_that_medians_of_all_voxels_show() -> None:
    random = np.random.default_rng(4)
    photons, masked = 1e4, np.zeros(BOX.divisions, bool)
    values, share = np.nan_to_num(library(photons=photons))[1], share_of(BOX, DISKS, 1)
    masked[3:5, 2, 7:9] = True
    hot = random.random(values.shape) < 0.01
    values[hot] *= random.choice(np.array([0.1, 0.3, 3.0, 20.0], np.float32), int(hot.sum()))
    footprint = np.ones((3, 3, 3), bool)
    footprint[1, 1, 1] = False
    usual = ndimage.median_filter(fill_masked(values / share, masked), footprint=footprint, mode="nearest") * share
    sigma = np.sqrt(np.maximum(usual * photons, 1) * (1 + 1 / 13))
    expected = ((values > 2 * usual) | (values < usual / 2)) & (np.abs(values - usual) * photons > 8 * sigma) & ~masked
    assert expected.sum() > 5 and np.array_equal(jumps(values, masked, share, photons), expected)
