"""Surfaces of a printed object in the densities of one block: read, extract, register, write."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fieldfit.config.magis import Imaging
from fieldfit.experiments.magis.printed_object import DRAWN, Found, found_in, scaled
from fieldfit.io.products import open_product, product, write_product
from fieldfit.io.stl import read_body
from fieldfit.metrics.surfaces import Surface, drawn_points
from fieldfit.types import InputError, Status

log = logging.getLogger(__name__)
METHODS = {
    "level_method": "between the medians of the density outside and inside of the level, iterated; half-way by default",
    "registration_method": "iterated closest points from 48 starts, refined against the drawing's planes, the nearest 95 % of the points",
    "distance_method": "exact nearest point of the drawing's triangles; vertices weighted by the area around them",
}
SUMMED = (
    *("distance_rms", "distance_mean", "distance_median", "distance_95"),
    *("drawing_distance_rms", "drawing_distance_median", "drawing_distance_95"),
)


def extract_surface(density: Path, cad: Path, output: Path, entry: Imaging) -> None:
    """Compare every good density of the block with the drawing; a flagged shot has no vertices and NaN.

    Raises InputError where the entry has no key `object`, or the drawing is no closed body.
    """
    if entry.object is None:
        raise InputError("key 'object' is missing, expected it where surfaces are to be compared with a drawing")
    drawing = scaled(*read_body(cad), entry.object)
    block = open_product(density, "density", chunks={"shot": 1})
    status = block.status.values.copy()
    flagged = [] if block.attrs["flagged"] == "none" else [block.attrs["flagged"]]
    found: list[Found | None] = []
    for place, shot in enumerate(block.shot.values.tolist()):
        one = None
        if status[place] == Status.good:
            one = found_in(block.density[place].values.astype(float), block.x.values, drawing, entry.object)
            if one is None:
                status[place] = Status.weak
                flagged.append(f"shot {shot} is weak: no piece of the density is large enough for a surface")
                log.warning("%s", flagged[-1])
            else:
                told = one.summary()
                log.info(
                    "shot %d: rms distance to the drawing %.1f um, 95 %% within %.1f um, volume %.3f of it",
                    shot, told["distance_rms"] * 1e6, told["distance_95"] * 1e6, _volume_ratio(one, drawing),
                )  # fmt: skip
        found.append(one)
    values = _meshes(found) | _figures(found, drawing)
    values |= {
        "drawing_point": drawn_points(drawing, DRAWN),
        "drawing_triangle": drawing.vertices[drawing.triangles],
        "time": block.time.values,
        "status": status,
    }
    axes = ["x", "y", "z"]
    dataset = product(
        "surface",
        values,
        {"shot": block.shot.values, "axis": axes, "drawing_axis": axes},
        flagged="\n".join(flagged) or "none",
        **METHODS,
    )
    write_product(dataset, output, [density, cad], entry.model_dump(mode="json"), "Surfaces of a printed object", "extract_surface")


def _meshes(found: Sequence[Found | None]) -> dict[str, Any]:
    """The surfaces of all shots one after the other (CF: contiguous ragged arrays)."""
    there = [one.surface if one else Surface(np.zeros((0, 3)), np.zeros((0, 3), int)) for one in found]
    vertices = np.array([len(one.vertices) for one in there])
    before = np.cumsum(vertices) - vertices
    return {
        "vertex_position": np.concatenate([one.vertices for one in there]),
        "distance": np.concatenate([one.distance if one else np.zeros(0) for one in found]),
        "triangle_vertex": np.concatenate([one.triangles + first for one, first in zip(there, before, strict=True)]),
        "vertex_count": vertices,
        "triangle_count": np.array([len(one.triangles) for one in there]),
    }


def _figures(found: Sequence[Found | None], drawing: Surface) -> dict[str, Any]:
    """Numbers by shot, NaN where there is no surface."""

    def each(shape: tuple[int, ...], value: Any) -> np.ndarray:
        return np.array([value(one) if one else np.full(shape, np.nan) for one in found], float)

    return {
        "level": each((), lambda one: one.level),
        "plateau": each((), lambda one: one.plateau),
        "islands": each((), lambda one: one.islands),
        "rotation": each((3, 3), lambda one: one.pose.rotation),
        "translation": each((3,), lambda one: one.pose.translation),
        "scale": each((), lambda one: one.pose.scale),
        "registration_rms": each((), lambda one: one.pose.rms),
        "volume_ratio": each((), lambda one: _volume_ratio(one, drawing)),
        "drawing_distance": each((DRAWN,), lambda one: one.drawing_distance),
        **{name: each((), lambda one, name=name: one.summary()[name]) for name in SUMMED},
    }


def _volume_ratio(one: Found, drawing: Surface) -> float:
    return one.surface.volume / (drawing.volume * one.pose.scale**3)
