"""The drawn set-up: from a camera file alone, for every layout, with its pictures."""

import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from fieldfit.config.magis import Imaging
from fieldfit.io.products import open_product
from fieldfit.report.setup import pictures
from fieldfit.simulate.layouts import dome_of_mirrors, ring_of_cameras, twelve_cameras
from fieldfit.steps.describe_setup import describe_setup

SHARED = Path(__file__).parents[1] / "../shared/data"
LAYOUTS = {"ring6": ring_of_cameras, "ring12": twelve_cameras, "dome": dome_of_mirrors}


def described(cameras: Path, folder: Path, **setup: object):
    entry = Imaging.model_validate({"format": "tiff", "raw": folder / "nowhere", "cameras": cameras, "setup": {"periods_um": [100, 377], **setup}})
    describe_setup(cameras, folder / "setup.nc", entry)
    return open_product(folder / "setup.nc", "setup")


@pytest.mark.parametrize(("name", "views"), [("ring6", 6), ("ring12", 12), ("dome", 18)])
def test_every_layout_is_described_and_drawn(tmp_path: Path, name: str, views: int) -> None:
    (tmp_path / "cameras.json").write_text(json.dumps(LAYOUTS[name]()))
    found = described(tmp_path / "cameras.json", tmp_path)
    assert found.sizes["view"] == views
    assert np.allclose(np.linalg.norm(found.sight, axis=1), 1)
    assert found.sphere_inside.values.all()
    assert (found.cloud_share > 0.999).all()
    assert (np.diff(found.fourier_coverage, axis=1) <= 0).all()
    assert found.directions_seen[0] < found.directions_seen[1] <= 1
    assert ((found.views_that_see >= 0) & (found.views_that_see <= views)).all()
    drawn = pictures(tmp_path / "setup.nc")
    assert len(drawn) == 4
    for picture in drawn:
        FigureCanvasAgg(picture.figure)
        picture.figure.draw_without_rendering()


@pytest.mark.parametrize("name", ["ring6", "dome"])
def test_reference_set_ups_are_described(tmp_path: Path, name: str) -> None:
    if not (SHARED / name).exists():
        pytest.skip(f"shared/data/{name} is not here")
    found = described(SHARED / name / "cameras.json", tmp_path)
    assert found.sphere_inside.values.all()
    assert (np.isfinite(found.mirror_radius) == (name == "dome")).all()


def test_ring6_is_what_its_data_sheet_says(tmp_path: Path) -> None:
    (tmp_path / "cameras.json").write_text(json.dumps(ring_of_cameras()))
    found = described(tmp_path / "cameras.json", tmp_path)
    assert np.allclose(found.distance, 0.175)
    assert np.allclose(found.pixel_at_object, 24e-6)
    assert np.allclose(found.light_share, (0.175 * 0.1 / 1.1 / 4 / 2 / 0.175) ** 2, rtol=0.01)  # (R / 2d)^2, R = f / 4
    assert np.allclose(found.depth_of_field, 24e-6 * 0.175 / (0.175 * 0.1 / 1.1 / 4), rtol=1e-6)
    assert np.allclose(found.origin, 100)
    # A corner of the cube that is 1.6 mm up and 1.6 mm nearer lies 1.6 mm / 24 um from the middle, in perspective.
    assert float(found.cube_footprint.sel(view=0, image_axis="row").max()) == pytest.approx(100 + 1.6 / 0.024 / (1 - 1.6 / 175))
    assert (found.views_of_place == 6).all()


def test_a_cloud_larger_than_the_sensors_is_told(tmp_path: Path) -> None:
    layout = ring_of_cameras()
    for camera in layout["cameras"]:
        camera["resolution_hw"] = [80, 80]
    (tmp_path / "cameras.json").write_text(json.dumps(layout))
    found = described(tmp_path / "cameras.json", tmp_path)
    assert not found.sphere_inside.values.any()
    assert (found.cloud_share < 0.98).all()
    assert found.views_of_place.values.min() == 0
