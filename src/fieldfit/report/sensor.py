"""Pictures of a calibration of the sensors, from its product alone."""

from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from fieldfit.contract.magis import SensorPixel
from fieldfit.io.products import open_product
from fieldfit.report.picture import Picture


def pictures(path: Path) -> list[Picture]:
    """Photon transfer of all sensors, and dark and response of the first."""
    found = open_product(path, "sensor")
    name = str(found.attrs["calibration"])
    return ([_transfer(found, name)] if "level_mean" in found else []) + [_maps(found, name)]


def _transfer(found: xr.Dataset, name: str) -> Picture:
    figure = Figure(figsize=(8, 3.8), layout="constrained")
    axes = figure.add_subplot()
    for place, own in enumerate(found.level_mean.values):
        used = found.level_used.values[place].astype(bool)
        axes.plot(own[used], found.level_variance.values[place][used], f"C{place % 10}o", markersize=4, label=f"sensor {place}")
        axes.plot(own[~used], found.level_variance.values[place][~used], f"C{place % 10}o", markersize=4, fillstyle="none")
        line = np.linspace(0, own[used].max(), 2)
        axes.plot(line, float(found.dark_variance[place]) + float(found.gain[place]) * line, f"C{place % 10}-", linewidth=0.8)
    axes.set(xlabel="mean of a pair of flats above the dark [DN]", ylabel="variance of a pixel [DN$^2$]", xlim=(0, None), ylim=(0, None))
    axes.legend(frameon=False, ncol=2)
    figures = tuple(
        (f"sensor {place}", f"gain {gain:.4g} +- {std:.2g} DN an electron, noise without light {noise:.3g} electrons, full at {full:.5g} DN")
        for place, (gain, std, noise, full) in enumerate(
            zip(found.gain.values, found.gain_std.values, found.read_noise.values, found.saturation.values, strict=True)
        )
    )
    caption = "Variance against mean: the slope is the gain. Open circles: pairs of flats that the line was not fitted to."
    return Picture(f"Photon transfer, calibration '{name}'", caption, figure, figures)


def _maps(found: xr.Dataset, name: str) -> Picture:
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    good = found.quality.values[0] == SensorPixel.good
    for axes, key, label in ((left, "dark", "dark [DN]"), (right, "flat", "response")):
        values = found[key].values[0]
        low, high = np.nanpercentile(values[good], (1, 99)) if np.isfinite(values[good]).any() else (0.0, 1.0)
        image = axes.imshow(values, vmin=low, vmax=high, cmap="magma", interpolation="nearest")
        axes.set(title=label, xlabel="column", ylabel="row")
        figure.colorbar(image, ax=axes, shrink=0.85)
    quality = found.quality.values[found.quality.values != SensorPixel.absent]
    figures = tuple((f"{kind.name} pixels", f"{int((quality == kind).sum())}") for kind in SensorPixel if kind != SensorPixel.absent)
    caption = "Means of the frames without light, and of the evenly lit ones. The counts are of all sensors."
    return Picture(f"Dark and response of sensor 0, calibration '{name}'", caption, figure, figures)
