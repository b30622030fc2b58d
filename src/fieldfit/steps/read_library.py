"""The library as a Dataset: read, check, write."""

import logging
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from fieldfit.config.dune import Library
from fieldfit.experiments.dune.library import Checked, Made, Values, check_library, counting_std, line_of
from fieldfit.io.channels import Disks, read_channels
from fieldfit.io.optical.opening import open_library
from fieldfit.io.optical.source import Source
from fieldfit.io.optical.table import fill_table, fill_times
from fieldfit.io.products import Packed, by_channel, pack, product, write_product
from fieldfit.io.workers import ALONE, Workers
from fieldfit.types import InputError
from fieldfit.units import CM

TABLE_BYTES = 2 * 2**30  # of memory, half of what the rule asks for; a larger table is made as a file beside the output
PLACE_TOLERANCE = 0.01  # m between a sensor in the channel file and in the library


def read_library(library: Path, channels: Path | None, output: Path, entry: Library, workers: Workers = ALONE) -> None:
    """Write the validated library with its counting uncertainty and findings. Raises InputError for what cannot be used.

    workers: who reads and arranges its rows; what is written is the same.
    """
    listed = read_channels(channels) if channels else None
    source = open_library(library, entry, listed.count if listed else None)
    disks, placed = _sensors(listed, source)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".table-") as scratch:
        most = min(TABLE_BYTES, workers.memory // 2 or TABLE_BYTES)
        table = fill_table(source, entry.quality, Path(scratch), most, workers)
        photons = source.made if source.made is not None else entry.photons_per_voxel
        checked = check_library(
            table.values, source.box, disks, photons, entry.component, entry.quality, table.flags, library, source.name_at, table.read, workers
        )
        times = fill_times(source, Path(scratch)) if entry.times else ()
        inputs = [library, *([channels] if channels else [])]
        packed = Packed(("visibility", "counting_std"), workers.run(partial(_packed, table.read, checked.made), range(source.channels)))
        _write(checked, times, table.findings + placed + checked.findings, source, disks, inputs, output, entry, packed)


def _packed(read: Callable[[], Values], made: Made, channel: int) -> dict[str, bytes]:
    """The chunks of a channel."""
    values = line_of(read(), channel)
    return {"visibility": pack(values), "counting_std": pack(counting_std(values, made))}


def _write(
    checked: Checked,
    times: tuple[NDArray[np.float32], ...],
    findings: tuple[str, ...],
    source: Source,
    disks: Disks,
    inputs: list[Path],
    output: Path,
    entry: Library,
    packed: Packed,
) -> None:
    """One channel at a time: the table may be larger than memory."""
    for finding in findings:
        logging.warning("%s: %s", source.path, finding)
    x, y, z = source.box.centres()
    shape = source.channels, source.box.divisions
    dataset = product(
        "library",
        {
            "visibility": by_channel(checked.values, source.channels, source.box.divisions, np.float32),
            "counting_std": by_channel(checked.std, source.channels, source.box.divisions, np.float32),
            "quality_mask": by_channel(lambda c: checked.quality[c], source.channels, source.box.divisions, np.int8),
            "channel_position": disks.centre,
            "channel_normal": disks.normal,
            "channel_radius": disks.radius,
            **({"photons_made": source.made} if source.made is not None else {}),
            **({"arrival": da.stack([by_channel(line.__getitem__, *shape, np.float32) for line in times])} if times else {}),
        },
        {
            "timing": np.array(source.times),
            "x": x.astype(np.float32),
            "y": y.astype(np.float32),
            "z": z.astype(np.float32),
            "axis": np.array(["x", "y", "z"]),
        },
        component=entry.component,
        format=entry.format,
        convention=source.convention,
        quantum_efficiency=source.efficiency,
        counting=checked.counting,
        displaced_channels=" ".join(map(str, checked.displaced)) or "none",
        photons_per_voxel=f"{checked.photons:.9g}",
        box_lower_m=" ".join(f"{v:.9g}" for v in source.box.lower),
        box_upper_m=" ".join(f"{v:.9g}" for v in source.box.upper),
        findings="\n".join(findings) or "none",
    )
    title = f"Optical library, {entry.component} light"
    write_product(dataset, output, inputs, entry.model_dump(mode="json"), title, "read_library", packed=packed)


def _sensors(listed: Disks | None, source: Source) -> tuple[Disks, tuple[str, ...]]:
    """The sensors of the channel file, else of the library, and what to tell when the two disagree."""
    if listed is None:
        if source.disks is None:
            raise InputError(f"{source.path}: does not say where the sensors are; expected the key channels, a JSON list of them")
        return source.disks, ("the sensors' places are those of the library: disks of their area, looking at the middle of the box",)
    if source.disks is None:
        return listed, ()
    away = np.linalg.norm(listed.centre - source.disks.centre, axis=1)
    far = np.flatnonzero(away > PLACE_TOLERANCE)
    if not len(far):
        return listed, ()
    k = int(far[0])
    here, there = (np.round(disks.centre[k] / CM, 1).tolist() for disks in (listed, source.disks))
    return listed, (
        f"{len(far)} sensors lie elsewhere in the library (first: sensor {k}, {there} cm, channel file {here} cm); the channel file is taken",
    )
