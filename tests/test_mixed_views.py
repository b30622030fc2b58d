"""A dome and cameras beside it see one cloud: from their files to one density."""

import json
from pathlib import Path

import numpy as np
import pytest

from fieldfit.config.magis import Imaging
from fieldfit.io.products import open_product
from fieldfit.simulate.clouds import Cloud
from fieldfit.simulate.frames import write_tiff_views
from fieldfit.simulate.layouts import dome_of_mirrors, ring_of_cameras
from fieldfit.simulate.rays import traced
from fieldfit.simulate.shots import true_density
from fieldfit.steps.calibrate_frames import calibrate_frames
from fieldfit.steps.fit_density import fit_density
from fieldfit.units import TAU

CLOUD = Cloud((40e-6, -30e-6, 20e-6), (4e-4, 4.5e-4, 4e-4), TAU / 377e-6, 0.8, 0.7, 1_000_000)


@pytest.mark.slow
def test_mirrors_and_cameras_give_one_density(tmp_path: Path) -> None:
    layout, random = dome_of_mirrors(), np.random.default_rng(4)
    layout["cameras"] += [{**camera, "id": f"beside{camera['id']}"} for camera in ring_of_cameras()["cameras"][::2]]
    (tmp_path / "cameras.json").write_text(json.dumps(layout))
    keys = {"format": "tiff", "raw": tmp_path / "raw", "cameras": tmp_path / "cameras.json", "photons_per_atom": 300.0}
    entry = Imaging.model_validate(keys)
    atoms = CLOUD.drawn(random)
    frames = [traced(camera, atoms, 300.0, random) for camera in layout["cameras"]]
    pedestals = [camera["pedestal_poisson_mean"] for camera in layout["cameras"]]
    frames = [(frame + random.poisson(mean, frame.shape)).astype(np.uint16) for frame, mean in zip(frames, pedestals, strict=True)]
    write_tiff_views(entry.raw / "shot0", frames)  # type: ignore[arg-type]
    calibrate_frames(entry.raw, entry.cameras, tmp_path / "electrons.nc", entry, [0], [])
    fit_density(tmp_path / "electrons.nc", entry.cameras, tmp_path / "density.nc", entry)
    found = open_product(tmp_path / "density.nc", "density").isel(shot=0)
    truth, _ = true_density(CLOUD, CLOUD.atoms, entry.grid.half_width_m, entry.grid.voxels)
    assert found.attrs["flagged"] == "none"
    assert np.linalg.norm(found.density.values - truth) / np.linalg.norm(truth) < 0.03
    assert float(found.chi2_reduced) == pytest.approx(1, abs=0.05)
    for name, value in (("phase", CLOUD.phase), ("contrast", CLOUD.contrast), ("atom_number", CLOUD.atoms)):
        assert float(found[name]) == pytest.approx(value, abs=4 * float(found[f"{name}_std"])), name
