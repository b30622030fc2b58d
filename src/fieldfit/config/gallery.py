"""Configuration of the gallery: tomograms."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from fieldfit.config.entry import Entry, Seed


class TomogramFit(Entry):
    """How the attenuation field is fitted."""

    steps: int = Field(300, ge=3, description="optimiser steps")
    rate: float = Field(0.2, gt=0, description="learning rate at the start of the cosine decay")
    variation: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        (1.0, 4.0, 16.0), min_length=1, description="weights of the total variation, of which held-out views choose; 0: no prior"
    )
    fringe: bool = Field(True, description="fit the fringes that propagation adds at edges, where the views show more light than the beam brings")


class SimulateTomography(Entry):
    """Make a scan of ellipses with known line integrals first."""

    views: int = Field(180, ge=8, description="projections over 180 degrees")
    columns: int = Field(160, ge=64, le=4096, description="detector columns")
    rows: int = Field(1, ge=1, le=64, description="detector rows, each a phantom of its own")
    photons: float = Field(2e4, gt=0, description="photons a pixel without the object")


class Tomography(Entry):
    """X-ray scan of a parallel beam: attenuation by a field, by filtered back-projection and by SIRT."""

    model: Literal["tomography"] = Field(description="what is fitted: tomography")
    raw: Path = Field(description="HDF5 file in the Data Exchange layout")
    rows: tuple[int, ...] | None = Field(None, min_length=1, description="detector rows, each a slice of its own (default: all)")
    every: tuple[Annotated[int, Field(ge=1)], ...] = Field((1, 8), min_length=1, description="use every n-th view: one reconstruction for each n")
    held_out: int = Field(9, ge=2, description="every n-th view is kept from all methods and scores them")
    axis: float | None = Field(None, description="detector column of the rotation axis, from 0 (default: found from the views)")
    pixel_um: float | None = Field(None, gt=0, description="edge of a detector pixel at the object [um]; without it lengths are in pixels")
    gain: float | None = Field(None, gt=0, description="detector counts a detected photon (default: from the white frames' scatter)")
    fit: TomogramFit = Field(default_factory=TomogramFit, description="field fit")
    seed: Seed = Field(1, description="seed of the simulated file; nothing else is random")
    device: Literal["auto", "cpu"] = Field("auto", description="the fit runs on the CPU so far")
    simulate: SimulateTomography | None = Field(None, description="make the raw file first")

    @model_validator(mode="after")
    def _different(self) -> "Tomography":
        for key in ("every", "rows"):
            values = getattr(self, key) or ()
            if len(set(values)) < len(values):
                raise ValueError(f"key '{key}' is {list(values)}, expected different numbers")
        return self
