"""From raw frames of real sensors to electrons: the calibration of a shot's time, faults by name with other shots unharmed, sensors of any size."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
import xarray as xr

from fieldfit.config.magis import Imaging
from fieldfit.contract.magis import SensorPixel
from fieldfit.geometry.lens import pixel_position
from fieldfit.io.cameras import read_cameras, region_sizes
from fieldfit.io.products import open_product
from fieldfit.simulate.frames import write_fits, write_run, write_tiff, write_tiff_views
from fieldfit.simulate.layouts import dome_of_mirrors, ring_of_cameras
from fieldfit.simulate.rays import traced
from fieldfit.simulate.sensor import Sensor, read_out, sensors_of, write_calibration
from fieldfit.steps.calibrate_frames import calibrate_frames
from fieldfit.steps.characterise_sensor import characterise_sensor
from fieldfit.steps.simulate_calibration import simulate_calibration
from fieldfit.steps.simulate_shots import simulate_shots
from fieldfit.types import InputError, Status

SHAPE = (6, 48, 44)
KEYS = {"response_spread": 0.05, "hot_share": 1e-3, "dead_share": 1e-3, "full_well": 6000.0, "levels": 6}


def light_of(size: tuple[int, int] = SHAPE[1:], row: float = 0.0, column: float = 0.0, peak: float = 80.0) -> np.ndarray:
    """(row, column) mean electrons of a round cloud, off the middle by so many half heights and half widths."""
    y, x = (np.arange(n) + 0.5 - n / 2 for n in size)
    return peak * np.exp(-0.5 * ((y[:, None] - row * size[0] / 2) ** 2 + (x - column * size[1] / 2) ** 2) / 4.0**2)


def cameras_at(folder: Path, sizes: list[tuple[int, int]] | None = None, **keys: Any) -> Path:
    layout = ring_of_cameras()
    layout["cameras"] = layout["cameras"][: len(sizes or SHAPE[:1] * 6)]
    for camera, size in zip(layout["cameras"], sizes or [SHAPE[1:]] * 6, strict=True):
        camera |= {"resolution_hw": list(size), **keys}
    (folder / "cameras.json").write_text(json.dumps(layout))
    return folder / "cameras.json"


def entry_of(folder: Path, calibrations: dict[str, dict] | None = None, **more: Any) -> Imaging:
    own = {name: {"dark": folder / name / "dark", "flat": folder / name / "flat", **keys} for name, keys in (calibrations or {}).items()}
    keys = {"format": "tiff", "raw": folder / "raw", "cameras": folder / "cameras.json", "calibrations": own}
    return Imaging.model_validate(keys | more)


def sensors_with(offset: float, seed: int = 1) -> list[Sensor]:
    """Six sensors of SHAPE whose value without light is `offset`."""
    entry = entry_of(Path(), {"a": {}}, simulate={"sensor": {**KEYS, "offset_dn": offset}}).simulate
    assert entry is not None
    return [
        Sensor(s.gain, s.offset, s.read_noise, s.full_well, s.response[: SHAPE[1], : SHAPE[2]], s.dark[: SHAPE[1], : SHAPE[2]])
        for s in sensors_of(entry, seed)
    ]


def made(folder: Path, name: str, sensors: list[Sensor], entry: Imaging) -> Path:
    """The product of a calibration whose frames are made first."""
    keys = entry_of(Path(), {"a": {}}, simulate={"sensor": KEYS}).simulate.sensor  # type: ignore[union-attr]
    write_calibration(entry.calibrations[name].dark, entry.calibrations[name].flat, name, keys, sensors, 1, entry.format)
    (folder / "sensor").mkdir(exist_ok=True)
    characterise_sensor(folder / "cameras.json", folder / "sensor" / f"{name}.nc", entry, name)
    return folder / "sensor" / f"{name}.nc"


def shot(sensors: list[Sensor], seed: int, light: Callable[[int], np.ndarray] = lambda view: light_of()) -> np.ndarray:
    random = np.random.default_rng([9, seed])
    return np.stack([read_out(s, random.poisson(s.response * light(view)), random) for view, s in enumerate(sensors)])


def electrons_of(folder: Path, entry: Imaging, shots: list[int], sensors: list[Path] | None = None) -> xr.Dataset:
    calibrate_frames(entry.raw, entry.cameras, folder / "e.nc", entry, shots, sensors or [])
    return open_product(folder / "e.nc", "electrons")


def test_electrons_are_those_of_the_light_with_the_variance_that_is_stated(tmp_path: Path) -> None:
    cameras_at(tmp_path, gain=2.0)
    entry, sensors, number = entry_of(tmp_path, {"a": {}}), sensors_with(100.0), 40
    product = made(tmp_path, "a", sensors, entry)
    write_run(entry.raw, "tiff", [(n, shot(sensors, n)) for n in range(number)])
    found = electrons_of(tmp_path, entry, list(range(number)), [product])
    assert not found.status.any()
    quality = open_product(product, "sensor").quality.values
    bad = np.isinf(found.variance.values[0])
    assert bad.sum() >= 8
    assert bad[quality != SensorPixel.good].all()
    assert np.isinf(found.variance.values).sum() == number * bad.sum() + int(found.hit_pixels.sum())
    beyond = (found.electrons.values - light_of())[:, ~bad]
    spread = beyond.var(0, ddof=1)
    # The dark and flat that all shots share have errors too, of 16 and some 10 frames.
    assert abs(beyond.mean()) < 0.05
    assert np.median(np.abs(beyond.mean(0)) / np.sqrt(spread / number)) < 1.4
    assert np.mean(beyond**2) / np.mean(found.variance.values[:, ~bad]) == pytest.approx(1, abs=0.02)
    assert found.pedestal.values == pytest.approx((2.31 + 4 + 1 / 48) * 17 / 16, rel=0.1)
    counts = found.electrons.values + found.pedestal.values[:, None, None]
    assert (beyond**2).mean() / counts[:, ~bad].mean() == pytest.approx(1, abs=0.03)  # as Poisson numbers have


def test_each_shot_takes_the_calibration_of_its_time(tmp_path: Path) -> None:
    """The sensor's value without light jumps at 5 s; the first calibration holds for ever, the second ends at 8 s; the third begins at 10 s."""
    cameras_at(tmp_path, gain=2.0)
    entry = entry_of(tmp_path, {"early": {"valid_until": 6.0}, "late": {"valid_from": 5.0, "valid_until": 8.0}})
    before, after = sensors_with(100.0), sensors_with(400.0)
    products = [made(tmp_path, "early", before, entry), made(tmp_path, "late", after, entry)]
    write_run(entry.raw, "tiff", [(n, shot(before if n < 5 else after, n)) for n in range(10)])
    found = electrons_of(tmp_path, entry, list(range(10)), products)
    assert found.status.values.tolist() == [0] * 8 + [Status.uncalibrated] * 2
    fine = ~np.isinf(found.variance.values[:8]).any(0)
    assert np.abs((found.electrons.values[:8] - light_of())[:, fine].mean(1)).max() < 0.3
    near = "near it: 'early' from -inf s until 6 s, 'late' from 5 s until 8 s"
    assert f"shot 8 is uncalibrated: no calibration covers its time 8.0 s; {near}" in found.attrs["flagged"]
    assert np.isnan(found.electrons.values[8:]).all()
    alone = electrons_of(tmp_path, entry, list(range(8)), products)
    assert np.array_equal(alone.electrons.values, found.electrons.values[:8])


def test_stamps_choose_the_calibration_where_shots_have_them(tmp_path: Path) -> None:
    cameras_at(tmp_path, gain=2.0)
    entry = entry_of(tmp_path, {"a": {"valid_from": "2026-01-02T12:00:00Z"}})
    sensors = sensors_with(100.0)
    product = made(tmp_path, "a", sensors, entry)
    for n, time in enumerate((1767355199.0, 1767355200.0)):
        write_tiff(entry.raw / f"shot{n}.tif", shot(sensors, n), time)
    assert electrons_of(tmp_path, entry, [0, 1], [product]).status.values.tolist() == [Status.uncalibrated, 0]


def test_without_flats_gain_is_that_of_the_camera_file(tmp_path: Path) -> None:
    cameras_at(tmp_path, gain=2.0)
    entry, sensors = entry_of(tmp_path, {"a": {"flat": None}}), sensors_with(250.0)
    product = made(tmp_path, "a", sensors, entry)
    measured = open_product(product, "sensor")
    assert np.isnan(measured.gain).all()
    assert np.isnan(measured.flat).all()
    write_run(entry.raw, "tiff", [(n, shot(sensors, n)) for n in range(4)])
    found = electrons_of(tmp_path, entry, [0, 1, 2, 3], [product])
    fine = ~np.isinf(found.variance.values).any(0)
    assert (found.electrons.values - light_of())[:, fine].mean() == pytest.approx(0, abs=0.15)


def test_a_saturated_shot_of_a_small_well_is_flagged_by_the_calibration(tmp_path: Path) -> None:
    """The full level, 100 + 2 x 6000 DN, lies far below that of the ADC, and above that of 12 bits."""
    cameras_at(tmp_path, gain=2.0)
    entry, sensors = entry_of(tmp_path, {"a": {}}), sensors_with(100.0)
    product = made(tmp_path, "a", sensors, entry)
    peaks = [80.0, 4000.0, 20000.0]
    write_run(entry.raw, "tiff", [(n, shot(sensors, n, lambda view, peak=peak: light_of(peak=peak))) for n, peak in enumerate(peaks)])  # type: ignore[misc]
    found = electrons_of(tmp_path, entry, [0, 1, 2], [product])
    assert found.status.values.tolist() == [0, 0, Status.saturated]
    level, spread = (open_product(product, "sensor")[name].values for name in ("saturation", "saturation_std"))
    assert (np.abs(level - 12100) < 2 * spread).all()
    assert "pixels at or above 1" in found.attrs["flagged"]


FAULTS = {1: "blocked", 2: "cosmic", 3: "saturated", 4: "outside"}


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[xr.Dataset, xr.Dataset, np.ndarray]:
    """(with faults, the same without): nine shots of one cloud through sensors that are not ideal, the last one dark; raw frames with faults."""
    found, raw = [], []
    for faults in (FAULTS, {}):
        folder = tmp_path_factory.mktemp("faults")
        keys = {"shots": 9, "photons": 2e8, "sensor": {"darks": 6, "levels": 3, "brightest": 0.6}, "faults": faults}
        entry = entry_of(folder, {"a": {}}, simulate=keys, seed=4)
        simulate_shots(entry.raw, entry.cameras, folder / "truth.json", entry)
        simulate_calibration(entry, "a")
        characterise_sensor(entry.cameras, folder / "a.nc", entry, "a")
        found.append(electrons_of(folder, entry, list(range(9)), [folder / "a.nc"]))
        raw.append(tifffile.imread(entry.raw / "shot0002.tif"))
    return found[0], found[1], raw[0].astype(int) - raw[1]


def test_each_fault_is_flagged_by_name_and_the_other_shots_are_unharmed(simulated: tuple[xr.Dataset, xr.Dataset, np.ndarray]) -> None:
    faulty, sound, _ = simulated
    assert sound.status.values.tolist() == [0] * 8 + [Status.empty]
    expected = [0, Status.corrupt, 0, Status.saturated, Status.empty, 0, 0, 0, Status.empty]
    assert faulty.status.values.tolist() == expected
    told = faulty.attrs["flagged"].split("\n")
    assert "shot 1 is corrupt: view 1 is dark while others are bright" in told[0]
    assert "shot 3 is saturated: view 1 has" in told[1]
    assert "shot 4 is empty" in told[2] and "no light, or the cloud outside of every view" in told[2]
    for name in ("electrons", "variance"):
        same = faulty[name].values[[0, 5, 6, 7]] == sound[name].values[[0, 5, 6, 7]]
        assert same.mean() > 1 - 2e-5  # a pixel that is bad by a hair in one block may not be in the other


def test_cosmic_rays_are_left_out_of_their_shot_only(simulated: tuple[xr.Dataset, xr.Dataset, np.ndarray]) -> None:
    faulty, sound, more = simulated
    hit = np.isinf(faulty.variance.values[2]) & ~np.isinf(faulty.variance.values[0])
    struck = more > 2 * 150  # DN; the read noise of this shot is drawn anew
    assert struck.sum() >= 15
    assert hit[struck].all()
    assert faulty.hit_pixels.values.tolist() == [0, 0, int(hit.sum()), 0, 0, 0, 0, 0, 0]
    assert hit[~struck].sum() <= 5
    # The median of the surroundings stands in for what was there.
    beyond = faulty.electrons.values[2][hit] - sound.electrons.values[2][hit]
    assert np.abs(beyond).max() < 10 * np.sqrt(sound.variance.values[2][hit].max())
    rest = (faulty.electrons.values[2] - sound.electrons.values[2])[~np.isinf(faulty.variance.values[2]) & ~struck]
    assert np.abs(rest).max() < 8 * np.sqrt(2) * 2.0


def plain(folder: Path, frames: list[np.ndarray]) -> xr.Dataset:
    """Electrons of shots of ideal sensors of gain 1."""
    cameras_at(folder)
    entry = entry_of(folder)
    write_run(entry.raw, "tiff", list(enumerate(frames)))
    return electrons_of(folder, entry, list(range(len(frames))))


def ideal(seed: int, light: Callable[[int], np.ndarray] = lambda view: light_of()) -> np.ndarray:
    random = np.random.default_rng([7, seed])
    return np.stack([random.poisson(light(view) + 2.31) for view in range(6)]).astype(np.uint16)


def test_a_view_is_measured_by_its_own_usual_light(tmp_path: Path) -> None:
    """View 3 always has a third of the others' light, which is no fault; in shot 4 half of view 1 is covered; in shot 6 all but view 0 are dark."""

    def seen(n: int) -> Callable[[int], np.ndarray]:
        def light(view: int) -> np.ndarray:
            image = light_of() * (0.3 if view == 3 else 1)
            if n == 4 and view == 1:
                image[20:] *= 0.1
            return image * (0 if n == 6 and view else 1)

        return light

    found = plain(tmp_path, [ideal(n, seen(n)) for n in range(12)])
    assert found.status.values.tolist() == [0] * 4 + [Status.corrupt, 0, Status.outside] + [0] * 5
    assert "shot 4 is corrupt: view 1 is dark while others are bright" in found.attrs["flagged"]
    assert "shot 6 is outside: views 1, 2, 3, 4, 5 are dark: the cloud lies outside of the field that all views share" in found.attrs["flagged"]


def test_a_view_that_is_always_dark_is_told_in_every_shot(tmp_path: Path) -> None:
    found = plain(tmp_path, [ideal(n, lambda view: light_of() * (view != 2)) for n in range(10)])
    assert (found.status == Status.corrupt).all()
    assert "shot 7 is corrupt: view 2 is dark while others are bright" in found.attrs["flagged"]


def test_a_cloud_at_the_border_of_a_field_is_outside_and_a_bright_background_is_not(tmp_path: Path) -> None:
    lights = [lambda view: light_of(), lambda view: light_of(column=0.9), lambda view: light_of() + 5.0, lambda view: light_of(row=-0.85)]
    found = plain(tmp_path, [ideal(n, light) for n, light in enumerate(lights)])
    assert found.status.values.tolist() == [0, Status.outside, 0, Status.outside]
    told = found.attrs["flagged"].split("\n")
    assert "of the light of view" in told[0] and "along the right of its field" in told[0]
    assert "along the top of its field" in told[1]


def test_a_small_object_that_moves_is_no_cosmic_ray_and_no_bad_pixel(tmp_path: Path) -> None:
    """A spot of one pixel's standard deviation, off the pixels' middles by up to one from shot to shot."""

    def spot(n: int) -> np.ndarray:
        shift = np.random.default_rng(n).uniform(-1, 1, 2)
        y, x = np.arange(48)[:, None] - 20 - shift[0], np.arange(44) - 22 - shift[1]
        return 900 * np.exp(-0.5 * (y**2 + x**2)) + light_of(peak=5.0)

    found = plain(tmp_path, [ideal(n, lambda view, n=n: spot(n)) for n in range(12)])  # type: ignore[misc]
    assert not found.status.any()
    assert not found.hit_pixels.any()
    assert not np.isinf(found.variance.values).any()


# ------------------------------------------------------------- sensors of different sizes


SIZES = [(48, 44), (40, 50), (30, 30)]


@pytest.mark.parametrize("form", ["tiff", "views", "fits"])
def test_sensors_of_different_sizes_are_read_together(tmp_path: Path, form: str) -> None:
    cameras_at(tmp_path, SIZES)
    entry = entry_of(tmp_path, format="fits" if form == "fits" else "tiff")
    for n in (0, 2, 1):
        random = np.random.default_rng(n)
        frames = [random.poisson(light_of(size) + 2.31).astype(np.uint16) for size in SIZES]
        if form == "fits":
            write_fits(entry.raw / f"shot{n}.fits", frames)  # type: ignore[arg-type]
        elif form == "views":
            write_tiff_views(entry.raw / f"shot{n}", frames)  # type: ignore[arg-type]
        else:
            entry.raw.mkdir(exist_ok=True)
            with tifffile.TiffWriter(entry.raw / f"shot{n}.tif") as writer:
                for frame in frames:
                    writer.write(frame, photometric="minisblack", metadata=None, contiguous=False)
    found = electrons_of(tmp_path, entry, [0, 1, 2])
    assert not found.status.any()
    assert found.electrons.shape == (3, 3, 48, 50)
    real = np.zeros((3, 48, 50), bool)
    for view, ((rows, columns), frame) in enumerate(zip(SIZES, frames, strict=True)):
        assert np.allclose(found.electrons.values[1, view, :rows, :columns], frame - 2.31, atol=1e-4)
        real[view, :rows, :columns] = True
    assert np.isfinite(found.variance.values[:, real]).all()
    assert np.isinf(found.variance.values[:, ~real]).all()
    assert (found.electrons.values[:, ~real] == 0).all()


def test_sensors_of_different_sizes_are_characterised_together(tmp_path: Path) -> None:
    cameras_at(tmp_path, SIZES)
    entry, random = entry_of(tmp_path, {"a": {"flat": None}}), np.random.default_rng(3)
    for n in range(6):
        frames = [np.rint(50 + 10 * view + random.poisson(4, size)).astype(np.uint16) for view, size in enumerate(SIZES)]
        write_tiff_views(entry.calibrations["a"].dark / f"shot{n}", frames)  # type: ignore[arg-type]
        shown = [(50 + 10 * view + random.poisson(4 + light_of(size))).astype(np.uint16) for view, size in enumerate(SIZES)]
        write_tiff_views(entry.raw / f"shot{n}", shown)  # type: ignore[arg-type]
    characterise_sensor(entry.cameras, tmp_path / "a.nc", entry, "a")
    found = open_product(tmp_path / "a.nc", "sensor")
    for sensor, (rows, columns) in enumerate(SIZES):
        assert (found.quality.values[sensor, rows:] == SensorPixel.absent).all()
        assert (found.quality.values[sensor, :, columns:] == SensorPixel.absent).all()
        assert (found.quality.values[sensor, :rows, :columns] == SensorPixel.good).mean() > 0.999
        assert found.dark.values[sensor, :rows, :columns].mean() == pytest.approx(54 + 10 * sensor, abs=0.1)
    shots = electrons_of(tmp_path, entry, [0, 1, 2], [tmp_path / "a.nc"])
    assert not shots.status.any()
    for view, size in enumerate(SIZES):
        image = shots.electrons.values[:, view, : size[0], : size[1]] - light_of(size)
        assert image.mean() == pytest.approx(0, abs=0.2)


def test_a_cube_cannot_hold_frames_of_different_sizes(tmp_path: Path) -> None:
    cameras_at(tmp_path, SIZES)
    entry = entry_of(tmp_path, format="fits")
    write_fits(entry.raw / "shot0.fits", np.zeros((3, 48, 50), np.uint16), cube=True)
    with pytest.raises(InputError, match="one cube for views of 48 x 44, 40 x 50, 30 x 30, expected an extension a view"):
        electrons_of(tmp_path, entry, [0])


def test_a_frame_of_another_sensors_size_is_told(tmp_path: Path) -> None:
    cameras_at(tmp_path, SIZES)
    entry = entry_of(tmp_path)
    for n, order in enumerate(([0, 1, 2], [0, 2, 1])):
        write_tiff_views(entry.raw / f"shot{n}", [np.full(SIZES[place], 20 + n, np.uint16) for place in order])  # type: ignore[arg-type]
    found = electrons_of(tmp_path, entry, [0, 1])
    assert found.status.values.tolist() == [0, Status.corrupt]
    assert "view 1 has shape (30, 30), expected (40, 50) from the camera description" in found.attrs["flagged"]


def test_hdf5_shot_files_hold_one_size(tmp_path: Path) -> None:
    cameras_at(tmp_path, SIZES)
    entry = entry_of(tmp_path, format="hdf5")
    write_run(entry.raw, "hdf5", [(0, np.zeros((3, 48, 50), np.uint16))])
    with pytest.raises(InputError, match="hold frames of one size, the cameras have 48 x 44, 40 x 50, 30 x 30 pixels: expected tiff or fits"):
        electrons_of(tmp_path, entry, [0])


def test_a_dome_and_a_camera_beside_it_show_the_cloud_where_the_optics_say(tmp_path: Path) -> None:
    layout = dome_of_mirrors()
    layout["cameras"].append({**ring_of_cameras()["cameras"][2], "id": "beside"})
    (tmp_path / "cameras.json").write_text(json.dumps(layout))
    entry = entry_of(tmp_path)
    random = np.random.default_rng(2)
    place = np.array([2e-4, -3e-4, 1e-4])
    atoms = place + 1e-4 * random.standard_normal((20_000, 3))
    frames = [traced(camera, atoms, 2000.0, random) for camera in layout["cameras"]]
    frames = [(frame + random.poisson(2.0 + 0.31 * (n == 1), frame.shape)).astype(np.uint16) for n, frame in enumerate(frames)]
    write_tiff_views(entry.raw / "shot0", frames)  # type: ignore[arg-type]
    found = electrons_of(tmp_path, entry, [0])
    views, sizes = read_cameras(entry.cameras), region_sizes(entry.cameras)
    assert len(views) == 19
    assert {(view.rows, view.columns) for view in views} == {(200, 200)}
    assert sizes[-1] == (200, 200) and sizes[0] == (128, 128)
    assert not found.status.any()
    for view, camera in enumerate(views):
        image = found.electrons.values[0, view].astype(float)
        row, column, _ = (float(part) for part in pixel_position(camera, torch.tensor(place[None])))
        near = (np.abs(np.arange(200) + 0.5 - row) < 15)[:, None] & (np.abs(np.arange(200) + 0.5 - column) < 15)
        middle = [(image * near * axis).sum() / (image * near).sum() for axis in (np.arange(200)[:, None] + 0.5, np.arange(200) + 0.5)]
        # A mirror cuts the aperture, which shifts the image off the plane of focus by up to a pixel.
        assert middle == pytest.approx([row, column], abs=1.0), camera.name
        assert np.isinf(found.variance.values[0, view, sizes[view][0] :]).all()


# ------------------------------------------------------------- refusals


def test_too_few_or_unpaired_frames_are_refused(tmp_path: Path) -> None:
    cameras_at(tmp_path)
    entry, frames = entry_of(tmp_path, {"a": {}}), shot(sensors_with(100.0), 0)
    own = entry.calibrations["a"]
    assert own.flat is not None
    write_tiff(own.dark / "shot0.tif", frames)
    with pytest.raises(InputError, match="dark: 1 dark frame can be used, expected at least 2"):
        characterise_sensor(entry.cameras, tmp_path / "a.nc", entry, "a")
    write_tiff(own.dark / "shot1.tif", shot(sensors_with(100.0), 1))
    for n in (0, 3):
        write_tiff(own.flat / f"shot{n}.tif", frames)
    with pytest.raises(InputError, match="no pair among the flats 0, 3: expected two numbers in a row for each light"):
        characterise_sensor(entry.cameras, tmp_path / "a.nc", entry, "a")
    assert not (tmp_path / "a.nc").exists()


def test_a_calibration_of_other_sensors_is_refused(tmp_path: Path) -> None:
    cameras_at(tmp_path, gain=2.0)
    entry, sensors = entry_of(tmp_path, {"a": {}}), sensors_with(100.0)
    product = made(tmp_path, "a", sensors, entry)
    cameras_at(tmp_path, [(30, 30)] * 6)
    write_run(entry.raw, "tiff", [(0, np.full((6, 30, 30), 20, np.uint16))])
    with pytest.raises(InputError, match=r"a.nc: its sensors have shape \(6, 48, 44\), expected \(6, 30, 30\)"):
        electrons_of(tmp_path, entry, [0], [product])


def test_a_simulation_of_calibrations_needs_its_key(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"key 'simulate.sensor' is missing"):
        simulate_calibration(entry_of(tmp_path, {"a": {}}, simulate={}), "a")
