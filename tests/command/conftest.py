"""Small products written as the steps write them, below an empty working folder."""

from pathlib import Path

import numpy as np
import pytest

from fieldfit.config.load import load_entry
from fieldfit.contract.coordinates import COORDINATES
from fieldfit.contract.products import PRODUCTS
from fieldfit.io.products import product, write_product

KEYS = {"format": "larsoft", "library": "library.root", "channels": "channels.json"}
IMAGING = {"format": "tiff", "raw": "shots", "cameras": "cameras.json"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, and a terminal of 100 characters."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path


@pytest.fixture
def made(folder: Path) -> Path:
    """results/dune/mini/flashes.nc, with one input beside it."""
    (folder / "library.root").write_bytes(b"rows")
    path = folder / "results/dune/mini/flashes.nc"
    path.parent.mkdir(parents=True)
    one, three = np.ones(1), np.ones((1, 3))
    values = dict.fromkeys(("charge", "charge_std", "chi2_reduced"), one) | dict.fromkeys(("position", "position_std", "position_looked_up"), three)
    values |= {"pe_measured": three, "pe_predicted": three, "status": np.zeros(1, int), "channel_position": np.zeros((3, 3))}
    entry = load_entry("dune", KEYS | {"seed": 7})
    dataset = product("flashes", values, {"axis": np.array(["x", "y", "z"])})
    write_product(dataset, path, [Path("library.root")], entry.model_dump(mode="json"), "Flashes", "match_flashes", 7)
    return path


@pytest.fixture
def write(folder: Path):
    """write(kind, path, sizes, inputs, step, entry, values, **attributes): a product of 0, 1, 2, ... where `values` says nothing else."""

    def written(kind, path, sizes=(), inputs=(), step="a_step", entry=None, values=(), **attributes) -> Path:
        sizes, values = {"axis": 3, **dict(sizes)}, dict(values)
        for name, variable in PRODUCTS[kind].items():
            if variable.required and name not in values:
                shape = tuple(sizes.get(dim, 2) for dim in variable.dims.split())
                count = np.arange(np.prod(shape, dtype=int)).reshape(shape)
                values[name] = count.astype(str) if variable.text else np.zeros(shape, int) if variable.flags else count.astype(float)
        dims = {dim for name in values for dim in PRODUCTS[kind][name].dims.split()}
        labels = {dim: np.array([f"{dim}{k}" for k in range(sizes.get(dim, 2))]) for dim in dims if COORDINATES[dim].text}
        labels |= {"axis": np.array(["x", "y", "z"])} if "axis" in dims else {}
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        config = load_entry("magis", entry or IMAGING).model_dump(mode="json")
        write_product(product(kind, values, labels, **attributes), path, list(map(Path, inputs)), config, f"A {kind}", step, 1)
        return path

    return written


@pytest.fixture
def night(write) -> Path:
    """results/magis/night/density/0000.nc, of electrons, of a sensor's calibration that holds for a month, of frames."""
    for name in ("cameras.json", "shot000.tif", *(f"dark{k:02d}.tif" for k in range(9))):
        Path(name).write_text(name)
    own = {"spring": {"dark": "dark", "valid_from": "2027-03-01", "valid_until": "2027-04-01"}}
    entry, dark = IMAGING | {"calibrations": own}, [f"dark{k:02d}.tif" for k in range(9)]
    values = {"valid_from": np.array(1803859200.0), "valid_until": np.array(1806537600.0)}
    room = "results/magis/night"
    sensor = write("sensor", f"{room}/sensor/spring.nc", {}, dark, "characterise_sensor", entry, values, calibration="spring")
    inputs = ["cameras.json", "shot000.tif", sensor]
    electrons = write("electrons", f"{room}/electrons/0000.nc", {}, inputs, "calibrate_frames", entry, calibrations="spring")
    return write("density", f"{room}/density/0000.nc", {"x": 8, "y": 8, "z": 8}, [electrons, "cameras.json"], "fit_density")
