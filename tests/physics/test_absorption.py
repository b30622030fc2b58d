"""The eigen-background finds the light that moved, and the atoms' errors are what repeats scatter by. Truth from simulate/absorption.py."""

import numpy as np
import pytest

from fieldfit.calibration.absorption import Noise, photon_transfer
from fieldfit.config.magis import SimulateTriplets
from fieldfit.contract.magis import PixelUse
from fieldfit.experiments.magis.absorption import column, numbers, pictures, raw_density, structure, sum_error
from fieldfit.experiments.magis.eigen_background import clean, eigen_background, find_atoms, held_out_chi2, pixel_use, split
from fieldfit.metrics.pulls import pulls
from fieldfit.simulate.absorption import CROSS_SECTION_M2, PIXEL_OBJECT_M, photograph, scene

BANDS = (2.0, 4.0, 8.0, 16.0)
AN_ATOM = CROSS_SECTION_M2 / PIXEL_OBJECT_M**2  # optical density of one atom on a pixel


class Run:
    """A simulated run: frames, truths, and its background fitted around the atoms' region that the frames show."""

    def __init__(self, seed: int, shots: int = 12, bands: tuple[float, ...] = BANDS, saturation: float | None = None, **wanted: float) -> None:
        generator = np.random.default_rng(seed)
        self.wanted = SimulateTriplets(shots=shots, **wanted)
        known = scene(self.wanted, AN_ATOM, saturation, generator)
        drawn = [photograph(known, shot, int(self.wanted.atoms * generator.uniform(0.5, 1.5)), generator) for shot in range(shots)]
        self.frames = [frames.astype(np.float32) for frames, _, _ in drawn]
        self.depth = [on_pixels * AN_ATOM for _, on_pixels, _ in drawn]
        self.truth = [truth for _, _, truth in drawn]
        self.noise = photon_transfer(self.frames, None, None)
        self.light, self.probes = (np.stack([f[member] - f[2] for f in self.frames]) for member in (0, 1))
        raw = np.stack([raw_density(a, p) for a, p in zip(self.light, self.probes, strict=True)])
        region = find_atoms((raw - np.median(raw, (1, 2), keepdims=True)).mean(0), np.zeros(raw.shape[1:], bool))
        assert region is not None
        self.background = eigen_background(self.probes, region, bands, self.noise)
        self.chi2 = np.mean([held_out_chi2(light, self.background) for light in self.light], 0)
        self.components = int(np.argmin(self.chi2)) + 1
        self.counts = saturation * self.wanted.gain if saturation else None

    def numbers(self) -> list[dict]:
        return [numbers(f, self.background, self.components, shot, self.counts) for shot, f in enumerate(self.frames)]


def repeats(seeds: range, **settings) -> dict[str, np.ndarray]:
    """Pulls of the sum of optical density, of centre and of width, over all shots of several runs."""
    found, true = [], []
    for run in (Run(seed, **settings) for seed in seeds):
        found += run.numbers()
        true += run.truth
    sums = pulls(
        np.array([f["optical_density_sum"] for f in found]),
        np.array([t.atoms_in_frame * AN_ATOM for t in true]),
        np.array([f["optical_density_sum_std"] for f in found]),
    )
    centre, width = (
        pulls(np.array([f[n] for f in found]), np.array([getattr(t, f"{n}_px") for t in true]), np.array([f[f"{n}_std"] for f in found]))
        for n in ("centre", "width")
    )
    return {"sum": sums, "centre": centre, "width": width}


@pytest.fixture(scope="module")
def run() -> Run:
    return Run(0)


def test_bands_sum_to_the_frame():
    frame = np.random.default_rng(1).normal(size=(40, 50))
    assert np.allclose(split(frame, BANDS).sum(0), frame)
    assert split(frame, ()).shape == (1, 40, 50)


def test_blurs_are_their_own_adjoints():
    """sum y.(split x) = sum (split y).x, on which the errors rest."""
    x, y = np.random.default_rng(2).normal(size=(2, 60, 70))
    for forward, back in zip(split(x, BANDS), split(y, BANDS), strict=True):
        assert (y * forward).sum() == pytest.approx((back * x).sum(), rel=1e-9)


def test_a_fifth_of_the_pixels_without_atoms_is_held_out():
    atoms, dark = np.zeros((2, 160, 160), bool)
    atoms[60:90, 60:90], dark[:4] = True, True
    use = pixel_use(atoms, dark)
    assert (use[:4] == PixelUse.dark).all()
    assert (use[60:90, 60:90] == PixelUse.atoms).all()
    free = (use == PixelUse.fitted) | (use == PixelUse.held_out)
    assert (use == PixelUse.held_out).sum() / free.sum() == pytest.approx(0.2, abs=0.01)


def test_atoms_are_found_with_their_tails_and_nothing_is_found_in_noise():
    generator = np.random.default_rng(3)
    rows, columns = np.indices((160, 160)) - 80
    cloud = np.exp(-(rows**2 + columns**2) / (2 * 8.0**2))
    noise, dark = generator.normal(0, 0.03, cloud.shape), np.zeros(cloud.shape, bool)
    assert find_atoms(noise, dark) is None
    found = find_atoms(cloud + noise, dark)
    assert cloud[~found].sum() < 1e-3 * cloud.sum()
    assert found.sum() < np.pi * (6 * 8.0) ** 2
    ring = np.exp(-((np.hypot(rows, columns) - 40) ** 2) / (2 * 5.0**2))
    assert find_atoms(ring + noise, dark)[80, 80]  # the hole of a ring may hold atoms as well


def test_light_that_the_probes_span_is_found_without_noise():
    """Images whose light is a mixture of the probes' are predicted inside the atoms' region to rounding."""
    generator = np.random.default_rng(4)
    rows, columns = np.indices((96, 96))
    modes = 1000 * np.stack([np.ones((96, 96)), *(0.1 * np.cos(0.4 * rows + 0.2 * columns + phase) for phase in (0, np.pi / 2))])
    probes = np.stack([np.tensordot([1, *generator.normal(size=2)], modes, 1) for _ in range(5)])
    atoms = np.hypot(rows - 48, columns - 48) < 20
    background = eigen_background(probes, atoms, (), Noise(1e-9, 1e-9, ""))
    light = np.tensordot([1.1, 0.3, -0.7], modes, 1)
    assert background.mix.shape[1] == 3
    assert np.allclose(clean(light, background, 3, -1).reference, light, rtol=1e-5)


def test_the_number_of_eigen_images_is_that_of_the_moving_fringes(run):
    """One beam and three fringes of any phase: seven pictures span the light, the rest is noise."""
    assert run.components >= 7
    assert run.chi2[0] > 2 * run.chi2[6]
    assert run.chi2[5] - run.chi2[6] > 5 * (run.chi2[6] - run.chi2.min())


def test_fringes_are_removed_to_the_noise(run):
    found = run.numbers()
    assert np.mean([f["background_rms_scaled"] / f["background_floor_raw"] for f in found]) > 1.3
    assert np.mean([f["background_rms"] / f["background_floor"] for f in found]) < 1.02
    assert np.mean([f["background_rms"] / f["background_rms_scaled"] for f in found]) < 0.6


def test_light_between_atoms_and_probe_may_change(run):
    """A probe pulse of another strength changes the raw optical density and not the cleaned one."""
    shot = run.frames[3].copy()
    shot[0] = (shot[0] - shot[2]) * 0.8 + shot[2]
    before, after = (numbers(f, run.background, run.components, 3, None) for f in (run.frames[3], shot))
    assert after["background_rms_raw"] > 1.3 * before["background_rms_raw"]
    assert abs(after["optical_density_sum"] - before["optical_density_sum"]) < 0.3 * before["optical_density_sum_std"]


def test_optical_density_of_pixels_is_true_within_its_error(run):
    for shot, frames in enumerate(run.frames[:6]):
        density, std, _, _ = pictures(frames, run.background, run.components, shot, None)
        found = pulls(density, run.depth[shot], std)
        assert abs(found.mean) < 0.1
        assert found.width == pytest.approx(1, abs=0.04)


def test_atom_number_centre_and_width_scatter_by_their_errors():
    """72 repeats in six runs; shots of a run share its eigen-images, so that means scatter by more than 1/sqrt(72)."""
    found = repeats(range(6))
    assert found["sum"].count == 72
    assert abs(found["sum"].mean) < 0.4
    assert found["sum"].width == pytest.approx(1, abs=0.2)
    for name in ("centre", "width"):
        assert abs(found[name].mean) < 0.35
        assert found[name].width == pytest.approx(1, abs=0.2)


def test_fringes_that_the_probes_do_not_span_are_in_the_error():
    """Four probes cannot follow three fringes: the atom number's error grows to hold what is left."""
    full, few = Run(1), Run(1, shots=4)
    assert np.median([f["structure_std"] for f in few.numbers()]) > 2 * np.median([f["structure_std"] for f in full.numbers()])
    found = repeats(range(10), shots=4)["sum"]
    assert abs(found.mean) < 0.6
    assert found.width < 1.3


def test_saturated_transitions_are_corrected():
    """At half the saturation intensity the plain logarithm misses a quarter of the atoms, the corrected sum none."""
    run = Run(2, saturation=800.0)
    assert np.mean([f["optical_density_sum"] / (t.atoms_in_frame * AN_ATOM) for f, t in zip(run.numbers(), run.truth, strict=True)]) == pytest.approx(
        1, abs=0.02
    )
    run.counts = None
    assert np.mean([f["optical_density_sum"] / (t.atoms_in_frame * AN_ATOM) for f, t in zip(run.numbers(), run.truth, strict=True)]) < 0.85
    found = repeats(range(2, 5), saturation=800.0)["sum"]
    assert found.width == pytest.approx(1, abs=0.3)


def test_opaque_pixels_are_counted_and_bounded(run):
    frames = run.frames[0].copy()
    rows, columns = np.nonzero(run.background.use == PixelUse.atoms)
    frames[0, rows[:7], columns[:7]] = frames[2, rows[:7], columns[:7]] - 30  # darker than the background
    found = numbers(frames, run.background, run.components, 0, None)
    assert found["opaque_pixels"] == 7
    assert np.isfinite(pictures(frames, run.background, run.components, 0, None)[0]).all()
    assert np.isnan(raw_density(frames[0] - frames[2], frames[1] - frames[2])[rows[0], columns[0]])


def test_without_atoms_the_sum_is_zero_and_there_is_no_centre(run):
    generator = np.random.default_rng(9)
    empty = photograph(scene(run.wanted, AN_ATOM, None, np.random.default_rng(0)), 0, 0, generator)[0].astype(np.float32)
    found = numbers(empty, run.background, run.components, -1, None)
    assert abs(found["optical_density_sum"]) < 4 * found["optical_density_sum_std"]
    assert np.isnan(found["centre"]).all()


def test_the_error_of_a_sum_is_that_of_its_linear_response(run):
    """sum_error against numerical derivatives by the image and by another shot's probe, photon noise only."""
    cleaned = clean(run.light[2], run.background, run.components, 2)
    rest, excess = structure(cleaned, run.background)
    error = sum_error(1.0, cleaned, run.background, None, 0.0)
    assert error < sum_error(1.0, cleaned, run.background, None, 1.0)
    inside = run.background.use == PixelUse.atoms
    generator = np.random.default_rng(6)
    base = column(cleaned, None)[inside].sum()
    moved = []
    for _ in range(60):  # fresh photon noise of the image alone
        light = run.light[2] + generator.normal(size=run.light[2].shape) * np.sqrt(run.noise.variance(cleaned.light))
        moved.append(column(clean(light, run.background, run.components, 2), None)[inside].sum() - base)
    assert np.std(moved) < error
    assert np.std(moved) > 0.5 * error
    assert rest < 0.02
    assert excess < 0.02
