"""The scan's beam, its axis and its object come out of the views; the field is nearer to the truth than the classical answers, above all from few views."""

from pathlib import Path

import numpy as np
import pytest
import torch

from fieldfit.config.gallery import TomogramFit
from fieldfit.experiments.gallery.axis import axis_of
from fieldfit.experiments.gallery.baselines import fbp, sirt
from fieldfit.experiments.gallery.beam import beam_of, responding, responses
from fieldfit.experiments.gallery.tomogram import METHODS, Bench, depths, hull, reconstruct, shows_fringes, split
from fieldfit.forward.attenuation import optical_depth, strips_of
from fieldfit.io.data_exchange import Scan, read_scan
from fieldfit.simulate import tomography as source
from fieldfit.types import InputError

BENCH = source.Bench(columns=112, axis=54.3, radius=36.0, photons=3e4)
DISC = (source.Ellipse(0.0, 0.0, 0.8, 0.8, 0.0, 1.0),)


def scan_of(folder: Path, bench: source.Bench = BENCH, phantoms=(source.PHANTOM,), views: int = 120, seed: int = 0) -> Scan:
    source.write_scan(phantoms, bench, views, 10, np.random.default_rng(seed), folder / "scan.h5", folder / "truth.json")
    return read_scan(folder / "scan.h5")


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Scan:
    return scan_of(tmp_path_factory.mktemp("scan"))


def test_simulated_line_integrals_are_those_of_the_simulated_raster():
    """Ties the truth's two faces to each other: chords in closed form against sums over a fine raster."""
    bench = source.Bench(columns=240, axis=119.5, radius=108.0)
    image = source.attenuation(source.PHANTOM, bench, 240)
    across = np.arange(240) - 119.5
    for angle, axis in ((0.0, 0), (np.pi / 2, 1)):
        chords = source.depths(source.PHANTOM, bench, np.array([angle]), across)[0]
        apart = np.abs(chords - image.sum(axis))
        assert apart.mean() < 2e-3 * chords.max()
        assert apart.max() < 0.08 * chords.max()  # at the limbs, where chords grow like a square root


def test_the_gain_is_measured_from_the_white_frames(scan: Scan):
    assert beam_of(scan, None, "scan").gain == pytest.approx(BENCH.gain, rel=0.1)


def test_intensity_follows_a_fading_beam(scan: Scan):
    beam = beam_of(scan, None, "scan")
    whites = (scan.white.mean(0) - scan.dark.mean(0))[0] / beam.gain
    intensity = (beam.incident[0] / whites).mean(1)
    assert intensity == pytest.approx(1 - BENCH.fading * np.linspace(0, 1, len(intensity)), abs=6e-3)


def test_photons_in_air_scatter_as_the_model_says(scan: Scan):
    beam = beam_of(scan, None, "scan")
    air = ~beam.object
    pull = ((beam.photons - beam.pedestal - beam.incident) / np.sqrt(beam.incident + beam.pedestal))[air]
    assert pull.var() == pytest.approx(1 + 1 / len(scan.white), rel=0.1)


def test_a_columns_response_and_drift_are_found(scan: Scan):
    beam = beam_of(scan, None, "scan")
    share = np.exp(-depths(beam))
    drift = 0.02 + 0.01 * beam.tau
    beam.photons[:, :, 60] = beam.pedestal + (beam.incident * share)[:, :, 60] * np.exp(drift)
    wide = type(beam)(**{**beam.__dict__, "prior": np.array([0.05, 0.05])})
    assert responses(wide, share)[0, 60] == pytest.approx([0.02, 0.01], abs=5e-4)
    assert responding(wide, responses(wide, share)).incident[0, :, 60] == pytest.approx(beam.incident[0, :, 60] * np.exp(drift), rel=1e-3)


@pytest.mark.parametrize("axis", [54.3, 57.0, 52.75])
def test_the_axis_is_found(tmp_path: Path, axis: float):
    found = scan_of(tmp_path, source.Bench(columns=112, axis=axis, radius=36.0, photons=3e4))
    assert axis_of(depths(beam_of(found, None, "scan")), found.angle) == pytest.approx(axis, abs=0.1)


def test_the_axis_of_the_reference_scan_is_found(reference: Path):
    found = read_scan(reference / "tomography/tooth.h5")
    assert axis_of(depths(beam_of(found, None, "tooth")), found.angle) == pytest.approx(296, abs=1)  # as the manifest says


def test_filtered_back_projection_of_a_disc_is_flat_and_right():
    bench = source.Bench(columns=120, axis=59.4, radius=40.0)
    angle = np.arange(200) * np.pi / 200
    fine = (np.arange(120)[:, None] + (np.arange(8) + 0.5) / 8 - 0.5 - bench.axis).ravel()
    depth = source.depths(DISC, bench, angle, fine).reshape(200, 120, 8).mean(2)
    image = fbp(depth, angle, bench.axis, 100)
    place = np.hypot(*np.meshgrid(*2 * [np.arange(100) - 49.5]))
    value = bench.depth / bench.radius
    assert image[place < 28] == pytest.approx(value, rel=0.02)
    assert np.abs(image[(place > 36) & (place < 45)]).max() < 0.1 * value


def test_filtered_back_projection_weighs_views_by_the_angle_they_stand_for():
    bench = source.Bench(columns=120, axis=59.5, radius=40.0)
    uneven = np.sort(np.concatenate([np.arange(100) * np.pi / 100, np.pi / 400 + np.arange(50) * np.pi / 200]))
    fine = np.arange(120) - bench.axis
    image = fbp(source.depths(DISC, bench, uneven, fine), uneven, bench.axis, 100)
    place = np.hypot(*np.meshgrid(*2 * [np.arange(100) - 49.5]))
    assert image[place < 25].mean() == pytest.approx(bench.depth / bench.radius, rel=0.02)


def test_sirt_fits_what_it_is_given():
    inside = torch.ones(10, 10, dtype=torch.bool)
    strips = strips_of(torch.linspace(0, 3, 40), 15, 7.0, inside)
    true = torch.rand(100, 2, generator=torch.Generator().manual_seed(0))
    depth = optical_depth(strips, true)
    found = sirt(strips, depth, torch.zeros(100, 2), 3000)
    assert (optical_depth(strips, found) - depth).abs().max() < 0.05
    assert (found - true).abs().mean() < 0.05


def test_views_that_score_are_seen_by_no_method():
    views = split(181, 8, 9, "scan")
    assert not set(views.test) & set(views.used)
    assert set(views.fitted) | set(views.asked) == set(views.used)
    assert (len(views.used), len(views.asked), len(views.test)) == (21, 2, 20)
    assert np.array_equal(split(181, 1, 9, "scan").test, views.test)


def test_too_few_views_are_refused():
    with pytest.raises(InputError, match="key 'every' is 40, which leaves 5 of 181 views, expected 6 or more"):
        split(181, 40, 9, "scan")


def test_an_object_that_leaves_the_detector_is_refused(tmp_path: Path):
    cut = scan_of(tmp_path, source.Bench(columns=112, axis=54.3, radius=56.0))
    with pytest.raises(
        InputError, match=r"tooth.h5: the object reaches an end of the detector in \d+ of 120 projections, the first in row 0, view \d+"
    ):
        beam_of(cut, None, "tooth.h5")


def test_noise_that_cannot_be_measured_asks_for_the_key(scan: Scan):
    one = Scan(scan.counts, scan.white[:1], scan.dark, scan.angle, scan.rows)
    with pytest.raises(InputError, match=r"one white frame, .* give the key 'gain'"):
        beam_of(one, None, "scan")
    assert beam_of(one, 0.65, "scan").gain == 0.65
    quiet = Scan(scan.counts, np.repeat(scan.white[:1], 3, 0), scan.dark, scan.angle, scan.rows)
    with pytest.raises(InputError, match="scatter no more than the dark ones"):
        beam_of(quiet, None, "scan")


def test_the_object_lies_inside_its_hull(scan: Scan):
    inside = hull(beam_of(scan, None, "scan"), scan.angle, BENCH.axis)
    truth = source.attenuation(source.PHANTOM, BENCH, len(inside))
    assert (truth[~inside] == 0).all()
    assert inside.mean() < 0.9


def test_a_fringe_is_looked_for_only_where_light_is_brighter_than_the_beam(scan: Scan):
    beam = beam_of(scan, None, "scan")
    assert not shows_fringes(beam)
    first = beam.object.argmax(2)[0]
    for place in range(3, 6):
        beam.photons[0, np.arange(len(first)), first + place] *= 1.2
    assert shows_fringes(beam)


def error(found, truth: np.ndarray, inside: np.ndarray, method: str) -> float:
    image = found.attenuation[METHODS.index(method), 0]
    return float(np.linalg.norm((image - truth)[inside]) / np.linalg.norm(truth[inside]))


@pytest.mark.parametrize(("every", "share"), [(1, 0.95), (6, 0.9)])
def test_field_is_nearer_to_the_truth_than_both_baselines(scan: Scan, every: int, share: float):
    """Stopped and weighed without the truth: for scoring only."""
    beam = beam_of(scan, None, "scan")
    axis = axis_of(depths(beam), scan.angle)
    inside = hull(beam, scan.angle, axis)
    found = reconstruct(beam, Bench(scan.angle, axis, inside), split(120, every, 9, "scan"), TomogramFit(steps=150))
    truth = source.attenuation(source.PHANTOM, BENCH, len(inside))
    field, classical = error(found, truth, inside, "field"), min(error(found, truth, inside, method) for method in ("fbp", "sirt"))
    assert field < share * classical
    assert found.chi2[2, 0] < found.chi2[:2, 0].min()
    assert found.fringe[0] == 0


def test_rows_of_a_batch_do_not_know_of_each_other(tmp_path: Path):
    other = [source.Ellipse(0.3, 0.1, 0.3, 0.5, 0.4, 1.0)]
    both = scan_of(tmp_path, phantoms=(source.PHANTOM, other), views=40)
    beam = beam_of(both, BENCH.gain, "scan")
    inside = hull(beam, both.angle, BENCH.axis)
    views, options = split(40, 1, 9, "scan"), TomogramFit(steps=12, variation=(2.0, 8.0))
    together = reconstruct(beam, Bench(both.angle, BENCH.axis, inside), views, options)
    one = Scan(both.counts[:, 1:], both.white[:, 1:], both.dark[:, 1:], both.angle, (1,))
    alone = beam_of(one, BENCH.gain, "scan")
    alone = type(alone)(**{**alone.__dict__, "prior": beam.prior, "pedestal": beam.pedestal, "photons": beam.photons[1:]})
    apart = reconstruct(alone, Bench(both.angle, BENCH.axis, inside), views, options)
    for k in range(len(METHODS)):
        assert together.attenuation[k, 1] == pytest.approx(apart.attenuation[k, 0], rel=1e-3, abs=1e-5)
