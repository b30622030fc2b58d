"""The same configuration and raw files give the same numbers: on one machine bit for bit, and across thread counts within rounding.

Between the runs memory is taken, so that the arrays of the second lie elsewhere: a library's last bit may depend on that. The parts of a
sum are added in another order where there are more threads. Stated tolerance: TOLERANCE of a variable's own scale, for fits that stop by
convergence; what a network's optimiser makes of rounding is larger, and is held to SHARE of the stated error instead.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from small_steps import density, gradiometer, material, pictures, visibility

TOLERANCE = 1e-4
SHARE = 0.1


@pytest.fixture
def threads() -> Callable[[int], None]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("made", [density, gradiometer, pictures, visibility, material])
def test_the_same_numbers_come_out_again(tmp_path: Path, threads: Callable[[int], None], made: Callable[[Path, Path], list[Path]]) -> None:
    runs, random = [], np.random.default_rng(0)
    for name, count in (("first", 1), ("again", 1), ("threads", 2)):
        (tmp_path / name).mkdir()
        threads(count)
        elsewhere = [np.empty(size, np.uint8) for size in random.integers(1, 200_000, 200)]
        runs.append([xr.load_dataset(path, decode_times=False) for path in made(tmp_path, tmp_path / name)])
        del elsewhere
    for first, again, other in zip(*runs, strict=True):
        for name, values in first.variables.items():
            if values.dtype.kind != "f":
                assert values.identical(again[name].variable) and values.identical(other[name].variable), name
                continue
            assert values.values.tobytes() == again[name].values.tobytes(), name
            apart = float(np.nanmax(np.abs(values.values - other[name].values), initial=0.0))
            scale = float(np.nanmax(np.abs(values.values), initial=0.0))
            error = first[f"{name}_std"].values if f"{name}_std" in first else np.zeros(1)
            error = error[np.isfinite(error)]
            assert apart <= max(TOLERANCE * scale, SHARE * float(np.median(error)) if error.size else 0.0), name
