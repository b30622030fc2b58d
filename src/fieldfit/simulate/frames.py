"""Writers of known frames in each format that the readers read, as data acquisitions write them. docs/formats.md has the layouts.

Each file is written whole or not at all. Nothing here is shared with the readers.
"""

import struct
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
import tifffile
from astropy.io import fits

from fieldfit.io.whole import whole


def write_run(folder: Path, form: str, shots: Iterable[tuple[int, np.ndarray]]) -> None:
    """The frames (view, row, column) of numbered shots, one after the other, as tiff, fits or hdf5 without time stamps."""
    folder.mkdir(parents=True, exist_ok=True)
    if form == "hdf5":
        write_shot_file(folder / "shots.h5", shots)
        return
    for shot, frames in shots:
        if form == "fits":
            write_fits(folder / f"shot{shot:04d}.fits", frames)
        else:
            write_tiff(folder / f"shot{shot:04d}.tif", frames)


def write_tiff(path: Path, frames: np.ndarray, time: float | None = None) -> None:
    """One TIFF with a page a view, deflated; a time [s] goes into the image description."""
    metadata = None if time is None else {"time_s": time}
    with whole(path) as unfinished:
        tifffile.imwrite(unfinished, frames, photometric="minisblack", compression="zlib", metadata=metadata)


def write_tiff_views(folder: Path, frames: np.ndarray, date: datetime | None = None) -> None:
    """One folder with a TIFF a view; a date goes into the tag DateTime."""
    for view, frame in enumerate(frames):
        with whole(folder / f"frame_cam{view}.tif") as unfinished:
            tifffile.imwrite(unfinished, frame, photometric="minisblack", metadata=None, datetime=date)


def write_packed_tiff(path: Path, frames: np.ndarray) -> None:
    """One TIFF with a page a view, two 12-bit pixels in three bytes, rows from a byte on (TIFF 6.0, BitsPerSample 12), by hand."""
    out = bytearray(struct.pack("<2sHI", b"II", 42, 8))
    for view, frame in enumerate(frames):
        rows, columns = frame.shape
        bits = np.unpackbits(frame.astype(">u2").view(np.uint8).reshape(rows, columns, 2), axis=-1)[..., 4:]
        data = np.packbits(bits.reshape(rows, -1), axis=-1).tobytes()
        tags = ((256, columns), (257, rows), (258, 12), (259, 1), (262, 1), (273, len(out) + 2 + 9 * 12 + 4), (277, 1), (278, rows), (279, len(data)))
        out += struct.pack("<H", len(tags))
        for tag, value in tags:
            out += struct.pack("<HHII", tag, 4, 1, value)
        end = len(out) + 4 + len(data)
        out += struct.pack("<I", 0 if view == len(frames) - 1 else end + end % 2) + data + b"\0" * (end % 2)
    with whole(path) as unfinished:
        unfinished.write_bytes(out)


def write_fits(path: Path, frames: np.ndarray, time: float | None = None, cube: bool = False) -> None:
    """One FITS with an extension a view behind an empty primary array, or one cube; a time since 1970 [s] goes into DATE-OBS."""
    units = [fits.PrimaryHDU(frames)] if cube else [fits.PrimaryHDU(), *(fits.ImageHDU(frame, name=f"VIEW{n}") for n, frame in enumerate(frames))]
    if time is not None:
        units[0].header["DATE-OBS"] = datetime.fromtimestamp(time, UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
        units[0].header["TIMESYS"] = "UTC"
    with whole(path) as unfinished:
        fits.HDUList(units).writeto(unfinished)


def write_shot_file(
    path: Path,
    shots: Iterable[tuple[int, np.ndarray]],
    time: np.ndarray | None = None,
    epoch: str | None = None,
    valid: np.ndarray | None = None,
    auxiliary: Mapping[str, tuple[np.ndarray, str]] | None = None,
) -> None:
    """One HDF5 shot file, grown a shot at a time. time (shot) [s] since the date `epoch`; valid (shot, view); auxiliary: (values, units)."""
    with whole(path) as unfinished, h5py.File(unfinished, "w") as file:
        numbers: list[int] = []
        for number, frames in shots:
            if not numbers:
                file.create_dataset(
                    "frames", (0, *frames.shape), frames.dtype, maxshape=(None, *frames.shape), chunks=(1, *frames.shape), compression=1
                )
            file["frames"].resize(len(numbers) + 1, axis=0)
            file["frames"][len(numbers)] = frames
            numbers.append(number)
        file["shot"] = np.array(numbers, np.int64)
        if time is not None:
            file["time"] = np.asarray(time, float)
            file["time"].attrs["units"] = "s"
            if epoch:
                file["time"].attrs["epoch"] = epoch
        if valid is not None:
            file["valid"] = np.asarray(valid, bool)
        for name, (values, units) in (auxiliary or {}).items():
            file[f"auxiliary/{name}"] = values
            file[f"auxiliary/{name}"].attrs["units"] = units
