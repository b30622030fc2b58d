"""Seconds to read a block of 64 shots (six views of 200 x 200) from each format, and to find the shots of a night in HDF5 shot files.

uv run python benchmarks/formats.py
"""

import resource
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

from fieldfit.catalogue import shots_of
from fieldfit.io.frames import read_block
from fieldfit.simulate.frames import write_run

SHAPE, SHOTS = (6, 200, 200), 64
SIZES = [SHAPE[1:]] * SHAPE[0]
FILES, ROWS = 24, 3600


def main() -> None:
    frames = [np.random.default_rng(shot).poisson(20, SHAPE).astype(np.uint16) for shot in range(8)]
    print(f"{'format':>8} {'checked, ms a shot':>20} {'read, ms a shot':>16} {'peak, MB':>9}")
    with tempfile.TemporaryDirectory() as name:
        for form in ("tiff", "fits", "hdf5"):
            raw = Path(name) / form
            write_run(raw, form, ((shot, frames[shot % 8]) for shot in range(SHOTS)))
            began = time.perf_counter()
            block = read_block(raw, range(SHOTS), SIZES, form)
            checked = time.perf_counter()
            block.frames.sum((2, 3)).compute(scheduler="synchronous")
            read = time.perf_counter()
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"{form:>8} {(checked - began) / SHOTS * 1e3:20.1f} {(read - checked) / SHOTS * 1e3:16.1f} {peak:9.0f}")
        night = Path(name) / "night"
        night.mkdir()
        for part in range(FILES):
            with h5py.File(night / f"night{part}.h5", "w") as file:
                file["shot"] = part * ROWS + np.arange(ROWS)
                file["time"], file["valid"] = file["shot"][()] * 1.0, np.ones((ROWS, SHAPE[0]), bool)
        began = time.perf_counter()
        found = len(shots_of(night, "hdf5"))
        print(f"{found} shots of {FILES} files found in {time.perf_counter() - began:.2f} s")


if __name__ == "__main__":
    main()
