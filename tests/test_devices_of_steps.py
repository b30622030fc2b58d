"""Every step that takes `device` runs on whatever device it is given, and finds the same there; of densities see physics/test_devices.py."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from elsewhere import THERE, Elsewhere
from small_steps import gradiometer, material, pictures, visibility

Made = Callable[[Path, Path], list[Path]]
USE = "device_of"  # what the steps ask for their device


@pytest.mark.parametrize("made", [gradiometer, pictures, visibility, material])
def test_no_tensor_of_one_device_meets_one_of_another(tmp_path: Path, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    here = made(tmp_path, tmp_path / "here")
    for module in [module for name, module in sys.modules.items() if name.startswith("fieldfit") and hasattr(module, USE)]:
        monkeypatch.setattr(module, USE, lambda name: THERE)
    with Elsewhere() as seen:
        there = made(tmp_path, tmp_path / "there")
    assert seen.made > 100
    for one, other in zip(here, there, strict=True):
        with xr.open_dataset(one, decode_times=False) as first, xr.open_dataset(other, decode_times=False) as second:
            for name, values in first.data_vars.items():
                if values.dtype.kind == "f":
                    scale = float(np.nanmax(np.abs(values.values), initial=0.0))
                    np.testing.assert_allclose(second[name].values, values.values, rtol=0, atol=1e-6 * scale, err_msg=str(name))
