"""The library as a field: open, fit, write.

The library may be larger than memory: its channels, masked voxels filled, are files in a scratch folder beside the output, and so are the
field's values; both are written one channel at a time.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from fieldfit.bridge import describe
from fieldfit.config.dune import Library
from fieldfit.experiments.dune.arrival import fit_arrivals
from fieldfit.experiments.dune.mirrors import Volume
from fieldfit.experiments.dune.neighbours import fill_masked
from fieldfit.experiments.dune.visibility_errors import METHODS, Judged, judged_fit
from fieldfit.forward.visibility import Values, in_chunks
from fieldfit.io.channels import Disks
from fieldfit.io.library import box_of, disks_of
from fieldfit.io.optical.box import Box
from fieldfit.io.products import by_channel, open_product, product, write_product
from fieldfit.types import VoxelQuality

PASSED_ON = ("component", "format", "convention", "quantum_efficiency", "counting", "photons_per_voxel", "box_lower_m", "box_upper_m", "findings")
SLAB_VALUES = 8_000_000  # of the field that are held at a time


def fit_visibility(library: Path, output: Path, entry: Library) -> None:
    """Fit one field to the library at `library` and write it with the table and the baselines beside it."""
    found = open_product(library, "library", chunks={})
    box, disks = box_of(found, library), disks_of(found)
    displaced = [int(c) for c in str(found.attrs["displaced_channels"]).split() if c != "none"]
    factor = [entry.component != "reflected" and c not in displaced for c in range(disks.count)]
    photons = found.photons_made.values.astype(np.float64) if "photons_made" in found else float(found.attrs["photons_per_voxel"])
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".fit-") as scratch:
        read = spooled(found, disks.count, box, Path(scratch))
        judged = judged_fit(read, box, disks, photons, factor, entry.fit, entry.seed, entry.device, symmetry=not displaced)
        field, device = judged.fitted.field, judged.fitted.sample.points.device
        values = evaluated(field, disks.count, box, Path(scratch) / "field.npy", device)
        arrivals = _arrivals(judged, read, values, found, box, disks, Path(scratch)) if "arrival" in found else ArrivalVariables({}, {}, {})
        _write(judged, arrivals, read, values, found, box, disks, library, output, entry)


@dataclass(frozen=True)
class ArrivalVariables:
    """What a product gets of the arrival times: variables, coordinates, attributes."""

    variables: dict[str, Any]
    coordinates: dict[str, Any]
    told: dict[str, str]


def _arrivals(
    judged: Judged, read: Volume, values: NDArray[np.float32], found: xr.Dataset, box: Box, disks: Disks, scratch: Path
) -> ArrivalVariables:
    """Fit the arrival times at the voxels of the visibility `values`."""

    def times(channel: int) -> NDArray[np.float32]:
        return np.where(read(channel)[1], np.float32(np.nan), found.arrival[:, channel].values)

    names, depth = [str(name) for name in found.timing.values], judged.errors.depth(box.points())
    fit = fit_arrivals(times, names, judged.fitted, judged.errors, box, disks)
    fitted = evaluated(fit.field, len(names) * disks.count, box, scratch / "times.npy", fit.field.weights.device)

    def std(k: int, c: int) -> NDArray[np.float32]:
        return fit.std(k, depth, values[c].reshape(-1)).reshape(box.divisions).astype(np.float32)

    def stacked(one: Callable[[int, int], NDArray[np.float32]]) -> da.Array:
        return da.stack([by_channel(partial(one, k), disks.count, box.divisions, np.float32) for k in range(len(names))])

    weights, description = describe(fit.field)
    variables = {"arrival": stacked(lambda k, c: fitted[k * disks.count + c]), "arrival_std": stacked(std), "arrival_field_weights": weights}
    return ArrivalVariables(variables, {"timing": np.array(names)}, {"arrival_field": description} | fit.told)


def spooled(found: xr.Dataset, channels: int, box: Box, scratch: Path) -> Volume:
    """channel -> (values, masked) (x, y, z), masked ones filled, from files: the fit reads each channel several times."""
    shape = (channels, *box.divisions)
    values, masked = (np.lib.format.open_memmap(scratch / f"{name}.npy", "w+", kind, shape) for name, kind in (("filled", "f4"), ("masked", "?")))
    for c in range(channels):
        masked[c] = found.quality_mask[c].values == VoxelQuality.masked
        values[c] = fill_masked(found.visibility[c].values, masked[c])
    return lambda c: (values[c], masked[c])


def _write(
    judged: Judged,
    arrivals: ArrivalVariables,
    read: Volume,
    values: NDArray[np.float32],
    found: xr.Dataset,
    box: Box,
    disks: Disks,
    library: Path,
    output: Path,
    entry: Library,
) -> None:
    fitted, score = judged.fitted, judged.score
    weights, description = describe(fitted.field)
    depth = judged.errors.depth(box.points())
    dataset = product(
        "visibility",
        {
            "visibility": by_channel(lambda c: values[c], disks.count, box.divisions, np.float32),
            "visibility_std": by_channel(
                lambda c: judged.errors.std(depth, values[c].reshape(-1)).reshape(box.divisions), disks.count, box.divisions, np.float32
            ),
            "library_visibility": by_channel(lambda c: read(c)[0], disks.count, box.divisions, np.float32),
            "counting_std": found.counting_std.data,
            "quality_mask": found.quality_mask.data,
            "channel_position": disks.centre,
            "channel_normal": disks.normal,
            "channel_radius": disks.radius,
            "relative_error": score.relative_error,
            "bias": score.bias,
            "loss": fitted.losses.mean(1),
            "field_weights": weights,
            **arrivals.variables,
        },
        {
            **arrivals.coordinates,
            "x": found.x.values,
            "y": found.y.values,
            "z": found.z.values,
            "axis": found.axis.values,
            "method": np.array(METHODS),
            "decade": score.decades,
        },
        field=description,
        **arrivals.told,
        **{name: str(found.attrs[name]) for name in PASSED_ON},
        **judged.told,
    )
    write_product(
        dataset, output, [library], entry.model_dump(mode="json"), f"Visibility field, {entry.component} light", "fit_visibility", entry.seed
    )


def evaluated(values: Values, outputs: int, box: Box, path: Path, device: torch.device) -> NDArray[np.float32]:
    """(output, x, y, z) of `values`, points (n, 3) -> (n, ...) with so many outputs, at the voxels' centres; in a file at `path`."""
    nx, ny, nz = box.divisions
    thick = max(1, SLAB_VALUES // (outputs * ny * nz))
    found = np.lib.format.open_memmap(path, "w+", "f4", (outputs, nx, ny, nz))
    for first in range(0, nx, thick):
        planes = slice(first, first + thick)
        points = torch.tensor(box.points(planes), dtype=torch.float32, device=device)
        with torch.no_grad():
            found[:, planes] = in_chunks(values, points).flatten(1).T.reshape(outputs, -1, ny, nz).cpu().numpy()
    return found
