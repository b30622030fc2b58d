"""Phases of a run: the blocks' densities put one after the other."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fieldfit.config.magis import Imaging
from fieldfit.io.clock import contradicted
from fieldfit.io.products import product, read_columns, write_product
from fieldfit.types import InputError, Status

log = logging.getLogger(__name__)
NAMES = ("phase", "contrast", "fringe_period", "atom_number", "position", "size", "wavefront")
SERIES = (*(f"{name}{ending}" for name in NAMES for ending in ("", "_std")), "chi2_reduced")
AXES = {"position": 3, "size": 3, "wavefront": 3}
READ = (*SERIES, "time", "status", "resolution_split_half", "shot", "least_contrast", "fringe_power", "coefficient_label")


def estimate_phase(densities: Sequence[Path], output: Path, entry: Imaging) -> None:
    """Merge the blocks of a run. A shot without a fringe has no phase and is flagged weak; one whose time contradicts its number, mistimed.

    Raises InputError where no shot could be read, and where more shots are flagged than `flagged_limit` allows, with each one's reason.
    """
    blocks = [read_columns(path, "density", READ) for path in densities]
    blocks.sort(key=lambda block: int(block[0]["shot"][0]))
    flagged = [line for _, told in blocks for line in str(told["flagged"]).split("\n") if line != "none"]
    columns = [block for block, _ in blocks]
    values: dict[str, np.ndarray] = {name: np.concatenate([_column(block, name) for block in columns]) for name in (*SERIES, "time", "status")}
    values["resolution"] = np.concatenate([_column(block, "resolution_split_half") for block in columns])
    shots = np.concatenate([block["shot"] for block in columns])
    least = np.concatenate([_column(block, "least_contrast") for block in columns])
    waves = np.concatenate([(block["fringe_power"] > 0).any(1) if "fringe_power" in block else np.zeros(len(block["shot"])) for block in columns])
    status = values["status"]
    timed = np.flatnonzero((status == Status.good) & np.isfinite(values["time"]))
    for place, said in contradicted(shots[timed].tolist(), values["time"][timed].tolist()).items():
        flagged.append(f"shot {shots[timed[place]]} is mistimed: {said}")
        status[timed[place]] = Status.mistimed
    without = (status == Status.good) & ~np.isfinite(values["phase"])
    for at in np.flatnonzero(without):
        flagged.append(f"shot {shots[at]} is weak: {_without_fringe(entry, bool(waves[at]), float(least[at]))}")
    status[without] = Status.weak
    for name, value in values.items():
        if name not in ("time", "status"):
            value[status != Status.good] = np.nan
    share = float((status != Status.good).mean())
    for line in flagged:
        log.warning("%s", line)
    if np.isin(status, (Status.missing, Status.corrupt)).all():
        raise InputError(f"none of the {len(status)} shots of the run can be read:\n" + "\n".join(flagged))
    if share > entry.flagged_limit:
        raise InputError(
            f"{int((status != Status.good).sum())} of {len(status)} shots are flagged, flagged_limit allows a share of {entry.flagged_limit:g}:\n"
            + "\n".join(flagged)
        )
    terms = next(
        (list(block["coefficient_label"]) for block in columns if "coefficient_label" in block),
        ["oblique astigmatism", "defocus", "vertical astigmatism"],
    )
    dataset = product(
        "phase",
        values,
        {"shot": shots, "axis": ["x", "y", "z"], "coefficient": terms},
        flagged="\n".join(flagged) or "none",
        wavefront_method="one Gauss-Newton step for three Zernike terms across the wave vector, disc of two envelope sizes; piston is the phase",
    )
    write_product(dataset, output, list(densities), entry.model_dump(mode="json"), "Fringe phases of camera shots", "estimate_phase", entry.seed)


def _without_fringe(entry: Imaging, wave: bool, least: float) -> str:
    """Why a shot has no phase. wave: whether the spectra of its views show one; least: contrast from which on they do."""
    if entry.fit.method != "field":
        return f"`fit.method: {entry.fit.method}` gives no fringe"
    if not entry.fit.fringe:
        return "`fit.fringe: false` gives no fringe"
    if wave:
        return "its views show a wave that the photons held out do not want"
    return "no fringe stands out of the noise of its views; " + (
        f"one that a view sees whole does from a contrast of {least:.2g} on" if least < 1 else "it is too dim for any"
    )


def _column(block: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """Values of a variable, or NaN where a block without any good shot has none."""
    if name in block:
        return block[name]
    kind, shots = name.removesuffix("_std"), len(block["shot"])
    return np.full((shots, AXES[kind]) if kind in AXES else shots, np.nan)
