"""Phases of single fringe pictures: read, fit, write."""

from pathlib import Path

import numpy as np
import torch

from fieldfit.config.magis import Pictures
from fieldfit.experiments.magis.pictures import fit_fringes
from fieldfit.fitting.fit import device_of
from fieldfit.io.pictures import read_pictures
from fieldfit.io.products import product, write_product

NOT_GIVEN = "atom_number, wavefront and the z components of position and size: a bare picture along z cannot give them; they are NaN"


def fit_pictures(raw: Path, output: Path, entry: Pictures) -> None:
    """Fit every picture; a bad one is passed on with its flag and NaN."""
    stack = read_pictures(Path(raw))
    device = device_of(entry.device)
    fringes = fit_fringes(
        torch.from_numpy(stack.frames).to(device), torch.from_numpy(stack.status).to(device), stack.pixel, entry.pedestal, entry.pixel_integrated
    )
    shots = len(stack.shots)
    values: dict[str, np.ndarray] = {"status": fringes.status.cpu().numpy(), "time": entry.start + entry.shot_period_s * stack.shots}
    for name, quantity in (("phase", "phase"), ("contrast", "contrast"), ("fringe_period", "period"), ("tilt", "tilt")):
        values[name], values[f"{name}_std"] = (v.cpu().numpy() for v in fringes.of(quantity))
    nothing = np.full(shots, np.nan)
    for name, parts in (("position", ("centre_x", "centre_y")), ("size", ("size", "size"))):
        both = [fringes.of(part) for part in parts]
        values[name] = np.stack([*(v.cpu().numpy() for v, _ in both), nothing], 1)
        values[f"{name}_std"] = np.stack([*(s.cpu().numpy() for _, s in both), nothing], 1)
    values |= {"atom_number": nothing, "atom_number_std": nothing, "chi2_reduced": fringes.chi2_reduced.cpu().numpy()}
    values |= {"wavefront": np.full((shots, 1), np.nan), "wavefront_std": np.full((shots, 1), np.nan)}
    light, light_std = (v.cpu().numpy() for v in fringes.of("electrons"))
    values |= {"electrons": light, "electrons_std": light_std}
    dataset = product(
        "phase",
        values,
        {"shot": stack.shots, "axis": ["x", "y", "z"], "coefficient": ["not_measured"]},
        not_given=NOT_GIVEN,
        phase_convention="density ~ 1 + contrast cos(k (cos(tilt) Y + sin(tilt) X) + phase), origin at the picture's centre, Y along rows, k > 0",
        pixels="integrated over their area" if entry.pixel_integrated else "sampled at their centres",
    )
    write_product(dataset, Path(output), [Path(raw)], entry.model_dump(mode="json"), "Fringe phases of single pictures", "fit_pictures", entry.seed)
