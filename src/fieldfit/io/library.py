"""Box and sensors back from a library, visibility or calibration product."""

from pathlib import Path

import numpy as np
import xarray as xr

from fieldfit.io.channels import Disks
from fieldfit.io.optical.box import Box
from fieldfit.types import InputError


def box_of(dataset: xr.Dataset, path: Path) -> Box:
    """The box of a product. Raises InputError when its attributes are absent or no numbers."""
    try:
        lower, upper = ([float(v) for v in str(dataset.attrs[name]).split()] for name in ("box_lower_m", "box_upper_m"))
        (x0, y0, z0), (x1, y1, z1) = lower, upper
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{path}: the attributes box_lower_m and box_upper_m do not give a box ({error!r}), expected three lengths [m] each"
        ) from None
    return Box((x0, y0, z0), (x1, y1, z1), (dataset.sizes["x"], dataset.sizes["y"], dataset.sizes["z"]))


def disks_of(dataset: xr.Dataset) -> Disks:
    """The sensors of a product, in the order of their channels."""
    position, normal, radius = (np.asarray(dataset[f"channel_{name}"].values, np.float64) for name in ("position", "normal", "radius"))
    return Disks(position, normal, radius)
