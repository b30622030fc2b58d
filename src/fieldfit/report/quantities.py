"""The figures of a night: what was received and what became of it, medians of what was measured, seconds a shot."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from fieldfit.types import Status

UM, MRAD = 1e6, 1e3
# (name, variable, factor, unit): median over the good shots
MEDIANS = (
    ("phase error", "phase_std", MRAD, "mrad"),
    ("contrast", "contrast", 1.0, "1"),
    ("atom number", "atom_number", 1.0, "1"),
    ("fringe period", "fringe_period", UM, "um"),
    ("chi2 a degree of freedom", "chi2_reduced", 1.0, "1"),
    ("resolution", "resolution", UM, "um"),
    ("background", "background_rms", 1.0, "1"),
)
AXES = ("x", "y", "z")


@dataclass(frozen=True)
class Quantity:
    """One figure of a night; NaN: not measured."""

    value: float
    units: str


def counted(shot: np.ndarray, status: np.ndarray) -> tuple[dict[str, Quantity], dict[str, int]]:
    """(shots received, good, flagged and absent, with their shares; flagged shots by reason) of one run. shot: numbers, rising."""
    received = len(shot)
    reasons = {Status(int(flag)).name: int((status == flag).sum()) for flag in np.unique(status) if flag != Status.good}
    flagged = sum(reasons.values())
    span = int(shot[-1] - shot[0]) + 1 if received else 0
    figures = {
        "shots received": Quantity(received, "1"),
        "shots good": Quantity(received - flagged, "1"),
        "share flagged": Quantity(flagged / received if received else np.nan, "1"),
        "share of numbers absent": Quantity((span - received) / span if span else np.nan, "1"),
    }
    return figures, reasons


def measured(product: xr.Dataset) -> dict[str, Quantity]:
    """Medians of what a run's product holds a shot, scatter of the position, and of a gradiometer the noise of its phase."""
    figures = {
        name: Quantity(_median(product[variable]) * factor, units)
        for name, variable, factor, units in MEDIANS
        if variable in product and "shot" in product[variable].dims
    }
    if "position" in product:
        axis = next(dim for dim in product.position.dims if dim != "shot")
        for place in range(product.sizes[axis]):
            values = product.position.isel({axis: place}).values
            scatter = float(np.nanstd(values)) * UM if np.isfinite(values).any() else np.nan
            figures[f"scatter of position {AXES[place]}"] = Quantity(scatter, "um")
    if "budget" in product.dims:
        row = product.sel(budget="phase resolution")
        figures["phase resolution"] = Quantity(float(row.budget_value) * MRAD, "mrad Hz-0.5")
        figures["chi2 a degree of freedom"] = Quantity(float(product.chi2_reduced.max()), "1")
    return figures


def paced(seconds: Mapping[str, float], shots: int) -> dict[str, Quantity]:
    """Seconds of computing a shot, all steps together; NaN where the steps' times are not there. seconds: by step, the sum of its jobs."""
    known = sum(seconds.values()) if seconds else np.nan
    return {"seconds a shot": Quantity(known / shots if shots else np.nan, "s")}


def _median(values: xr.DataArray) -> float:
    finite = values.values[np.isfinite(values.values)]
    return float(np.median(finite)) if finite.size else np.nan
