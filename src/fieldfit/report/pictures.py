"""Pictures of a phase product that came from single fringe pictures: phases with their errors, and what the fringes and clouds look like."""

from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from fieldfit.io.products import open_product
from fieldfit.report.picture import Picture
from fieldfit.types import Status

MRAD, UM = 1e3, 1e6


def pictures(path: Path) -> list[Picture]:
    """Two pictures of one run."""
    data = open_product(path, "phase")
    return [_phases(data), _fringes(data)]


def _phases(data: xr.Dataset) -> Picture:
    figure = Figure((9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.errorbar(data.shot, data.phase, data.phase_std, fmt=".", ms=4, lw=1)
    left.set(xlabel="shot", ylabel="phase [rad]", ylim=(-np.pi, np.pi))
    right.scatter(data.contrast, data.phase_std * MRAD, s=10)
    right.set(xlabel="contrast", ylabel="standard deviation of phase [mrad]")
    status = data.status.values
    flags = ", ".join(f"{int((status == s).sum())} {s.name}" for s in Status if s and (status == s).any()) or "none"
    return Picture(
        "Fringe phase of each picture",
        "Left: phase at the picture's centre, its error mostly smaller than the dot. Right: what light and contrast leave of uncertainty.",
        figure,
        (
            ("pictures", str(len(status))),
            ("flagged", flags),
            ("median error of phase", f"{np.nanmedian(data.phase_std) * MRAD:.2f} mrad"),
            ("chi-square per degree of freedom", f"{np.nanmean(data.chi2_reduced):.4f}"),
        ),
    )


def _fringes(data: xr.Dataset) -> Picture:
    figure = Figure((9, 3.4), layout="constrained")
    axes = figure.subplots(1, 3)
    axes[0].errorbar(data.fringe_period * UM, data.tilt * MRAD, data.tilt_std * MRAD, data.fringe_period_std * UM, fmt=".", ms=4, lw=1)
    axes[0].set(xlabel="period [µm]", ylabel="tilt [mrad]")
    axes[1].errorbar(*(data.position[:, k] * UM for k in (0, 1)), *(data.position_std[:, k] * UM for k in (1, 0)), fmt=".", ms=4, lw=1)
    axes[1].set(xlabel="centre x [µm]", ylabel="centre y [µm]", aspect="equal")
    axes[2].scatter(data["size"][:, 0] * UM, data.electrons, s=10)
    axes[2].set(xlabel="rms size [µm]", ylabel="photo-electrons")
    return Picture(
        "Fringes and clouds",
        "Wave vector, centre and size of each picture's fringe and cloud, with their errors.",
        figure,
        (
            ("median period", f"{np.nanmedian(data.fringe_period) * UM:.1f} µm"),
            ("median size", f"{np.nanmedian(data['size'][:, 0]) * UM:.1f} µm"),
        ),
    )
