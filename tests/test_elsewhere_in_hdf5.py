"""What an HDF5 file says of other files is refused by name, in every reader, and the other file is never opened."""

import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

from alone import alone
from fieldfit.io.products import attributes_of, open_product, write_product
from readings import READINGS, Reading

DATASETS = {
    "hdf5": ("frames", "shot", "time"),
    "ports": ("counts", "time_s", "relative_intensity"),
    "tracks": ("point_cm", "pe_measured", "run"),
    "flashes": ("pe_measured",),
    "data exchange": ("exchange/data", "exchange/theta"),
    "photonlib_h5": ("vis", "numvox"),
    "hits": ("segments", "light_dat/light_dat_allmodules"),
}
BY_NAME = {reading.name: reading for reading in READINGS}
CASES = [(BY_NAME[name], dataset) for name, datasets in DATASETS.items() for dataset in datasets]


def linked(file: h5py.File, name: str, other: Path, _: h5py.Dataset) -> None:
    file[name] = h5py.ExternalLink(str(other), "/there")


def soft(file: h5py.File, name: str, _: Path, old: h5py.Dataset) -> None:
    file["kept"] = old[()]
    file[name] = h5py.SoftLink("/kept")


def stored(file: h5py.File, name: str, other: Path, old: h5py.Dataset) -> None:
    file.create_dataset(name, old.shape, old.dtype, external=[(str(other), 0, h5py.h5f.UNLIMITED)])


def virtual(file: h5py.File, name: str, other: Path, old: h5py.Dataset) -> None:
    layout = h5py.VirtualLayout(old.shape, old.dtype)
    layout[...] = h5py.VirtualSource(str(other), "there", old.shape)
    file.create_virtual_dataset(name, layout)


TOLD = {linked: "' is a link to ", soft: "' is a link to /kept", stored: "' has its values in ", virtual: "' is virtual (its values lie in "}


@pytest.mark.parametrize("elsewhere", TOLD, ids=lambda make: make.__name__)
@pytest.mark.parametrize(("reading", "name"), CASES, ids=str)
def test_values_that_lie_elsewhere_are_refused(tmp_path: Path, reading: Reading, name: str, elsewhere: Callable[..., None]) -> None:
    path = reading.write(tmp_path)
    other = tmp_path / "elsewhere.h5"
    os.mkfifo(other)
    with h5py.File(path, "r+") as file:
        if name not in file:
            file[name] = np.arange(2.0)
        old = file[name]
        del file[name]
        elsewhere(file, name, other, old)
    answer = alone(lambda: reading.read(path))
    told = answer.refusal or "\n".join(answer.value[2])  # shots are flagged with a reason
    assert f"{path.name}: " in told and name + TOLD[elsewhere] in told, told
    assert "not an InputError" not in told


@pytest.mark.parametrize(("name", "group"), [("data exchange", "exchange"), ("hits", "light_dat"), ("hdf5", "auxiliary")])
def test_a_group_that_lies_elsewhere_is_not_opened(tmp_path: Path, name: str, group: str) -> None:
    path = BY_NAME[name].write(tmp_path)
    os.mkfifo(tmp_path / "elsewhere.h5")
    with h5py.File(path, "r+") as file:
        if group in file:
            del file[group]
        file[group] = h5py.ExternalLink(str(tmp_path / "elsewhere.h5"), "/there")
    answer = alone(lambda: BY_NAME[name].read(path))
    assert f"{group}" in answer.refusal or name == "hdf5"  # an auxiliary channel is left out, the shots are kept
    assert "not an InputError" not in answer.refusal


@pytest.mark.parametrize("elsewhere", [linked, stored, virtual], ids=lambda make: make.__name__)
def test_a_product_does_not_lead_elsewhere(tmp_path: Path, elsewhere: Callable[..., None]) -> None:
    path = tmp_path / "phase.nc"
    write_product(xr.Dataset({"shot_phase": ("shot", np.arange(3.0))}, {"shot": np.arange(3)}), path, [], {}, "t", "s")
    os.mkfifo(tmp_path / "elsewhere.h5")
    with h5py.File(path, "r+") as file:
        old = file["shot_phase"]
        del file["shot_phase"]
        elsewhere(file, "shot_phase", tmp_path / "elsewhere.h5", old)
    for read in (lambda: open_product(path, "phase"), lambda: attributes_of(path, "a product")):
        assert "phase.nc: " in (told := alone(read).refusal) and "shot_phase" + TOLD[elsewhere] in told
