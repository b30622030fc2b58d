"""The set-up of an imaging run from its camera file: read, describe, write."""

import logging
from pathlib import Path

from fieldfit.config.magis import Imaging
from fieldfit.experiments.magis.setup import set_up
from fieldfit.io.cameras import read_cameras, region_sizes
from fieldfit.io.products import product, write_product

log = logging.getLogger(__name__)
METHODS = {
    "phase_std_method": "Fisher information of Poisson electrons on the pedestal, summed over views, and of the finite atoms; wave vector, "
    "envelope and contrast known",
    "seen_criterion": "one view alone tells the phase to 1/8 rad: 32 times the noise's power in its spectrum, where a density fit believes a wave",
    "coverage_method": "a view measures |k.s| < pi / object_width of each shell (projection-slice theorem)",
}


def describe_setup(cameras: Path, output: Path, entry: Imaging) -> None:
    """Describe the views. Raises InputError where the camera file cannot be read."""
    half = entry.grid.half_width_m
    values, coordinates = set_up(read_cameras(cameras, half), region_sizes(cameras, half), entry)
    for period, share in zip(coordinates["period"], values["directions_seen"], strict=True):
        log.info("fringes of %.0f um are seen in %.1f %% of all directions", period * 1e6, 100 * share)
    for name, inside, share in zip(values["view_name"], values["sphere_inside"], values["cube_share"], strict=True):
        if not inside:
            log.warning("view %s: only %.1f %% of the reported cube lies on its sensor", name, 100 * share)
    dataset = product("setup", values, coordinates, size_m=str(entry.setup.size_mm * 1e-3), half_width_m=str(half), **METHODS)
    write_product(dataset, output, [cameras], entry.model_dump(mode="json"), "Views of an imaging run and the fringes they see", "describe_setup")
