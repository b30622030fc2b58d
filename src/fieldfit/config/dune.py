"""Configuration of DUNE: optical libraries, their fit, calibration, flashes and export."""

from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from fieldfit.config.entry import Device, Entry, Seed


class Geometry(Entry):
    """Box of a library that carries no metadata."""

    min_cm: tuple[float, float, float] = Field(description="lower corner x, y, z [cm]")
    max_cm: tuple[float, float, float] = Field(description="upper corner x, y, z [cm]")
    divisions: tuple[int, int, int] = Field(description="voxels along x, y, z")


Policy = Literal["error", "mask", "accept"]


class Quality(Entry):
    """What becomes of each kind of finding in a library: `error` refuses the file, `mask` leaves the values out of the fit, `accept` only tells."""

    bad_values: Policy = Field("mask", description="values NaN, infinite, negative or above 1; above 1 % of the rows always an error")
    duplicates_same: Policy = Field("accept", description="rows that are there again with the same value")
    duplicates_conflicting: Policy = Field("error", description="rows that are there again with another value")
    out_of_range: Policy = Field("error", description="voxel or channel numbers that the box or the channels do not have; mask: rows are dropped")
    missing_channels: Policy = Field("mask", description="channels without a row, or with nothing but zeros")
    holes: Policy = Field("mask", description="values without a row where neighbours promise light, or in a format that has a row for each")
    hot_voxels: Policy = Field("mask", description="values far above or below their neighbours, the sensor's solid angle divided out")
    misplaced_sensors: Policy = Field(
        "error", description="channels whose hottest voxels are not at their sensors; accept: fitted without the geometric factor"
    )
    asymmetry: Policy = Field("accept", description="channels that get another amount of light than their mirror images")


class VisibilityFit(Entry):
    """How the visibility field is fitted."""

    steps: int | None = Field(
        None,
        ge=1,
        description="optimiser steps of each of the two members (default: 6000, or 133 for each channel without a mirror image, if that is more)",
    )
    rate: float = Field(2e-3, gt=0, description="learning rate at the start of the cosine decay")
    batch: int = Field(512, ge=16, description="voxels a step")
    width: int = Field(96, ge=4, description="units a hidden layer")
    depth: int = Field(3, ge=1, description="hidden layers")
    symmetry: Literal["auto", "off"] = Field("auto", description="auto: channels that are mirror images share one fit, where the photons agree")
    held_out: float = Field(0.04, ge=0, lt=0.5, description="share of the voxels that are not fitted and measure the model's error")


class SimulateLibrary(Entry):
    """Make a LArSoft library and tracks by tracing photons in a box first (demo)."""

    photons: int = Field(10000, ge=100, description="photons traced from each voxel")
    divisions: tuple[int, int, int] = Field((10, 10, 16), description="voxels along x, y, z")
    tracks: int = Field(150, ge=0, description="muon tracks")
    flashes: int = Field(100, ge=1, description="point flashes, where `flashes` says where they go")


LibraryFormat = Literal["larsoft", "dune_export", "arcube_lut", "larndsim_npz", "photonlib_h5", "hits"]
ExportFormat = Literal["larsoft", "larndsim_npz", "photonlib_h5", "numpy", "onnx", "onnx_gradient"]
Length = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Export(Entry):
    """The fitted visibility in the layouts of other tools."""

    formats: tuple[ExportFormat, ...] = Field(
        get_args(ExportFormat),
        description="larsoft: ROOT photon library; larndsim_npz: larnd-sim look-up table; photonlib_h5; numpy: safetensors and its evaluator; "
        "onnx: a model for C++; onnx_gradient: with its gradient; [] for none",
    )
    voxel_cm: Length | tuple[Length, Length, Length] | None = Field(
        None, description="edge of the voxels of the tables [cm], one or along x, y, z (default: the library's own)"
    )
    of: Literal["calibrated", "simulated"] | None = Field(None, description="which visibility (default: calibrated where there are tracks)")


class Library(Entry):
    """An optical library: visibility field, then calibration on tracks."""

    format: LibraryFormat = Field(
        description="layout of the library: larsoft, dune_export, arcube_lut (ROOT), larndsim_npz, photonlib_h5, or hits (counted, HDF5)"
    )
    library: Path = Field(description="file of the library")
    component: Literal["direct", "reflected", "total"] = Field("total", description="which light is fitted")
    channels: Path | None = Field(
        description="JSON list of sensors: channel, centre [cm], normal, radius [cm]; null takes those of a `dune_export` file"
    )
    photons_per_voxel: float | None = Field(
        None, gt=0, description="photons simulated a voxel; without it the counting noise is estimated from the scatter between neighbours"
    )
    geometry: Geometry | None = Field(None, description="box and divisions of a library without metadata, and of `larndsim_npz` and `hits`")
    y_order: Literal["bottom_up", "top_down"] = Field(
        "bottom_up", description="where the y index of `larndsim_npz` begins: bottom_up since November 2025, top_down before"
    )
    quality: Quality = Field(default_factory=Quality, description="what becomes of each kind of finding: error, mask or accept")
    tracks: Path | None = Field(
        None,
        description="HDF5 with measured tracks, on which to calibrate: point_cm, point_offset, point_photons, pe_measured, "
        "and, where they are known, run (of each track) and saturation_pe (of each channel)",
    )
    fit_tracks: int | None = Field(None, ge=1, description="how many tracks, from the first, are fitted; the rest are held out (default: 5 of 7)")
    flashes: Path | None = Field(None, description="HDF5 with measured flashes: find their positions and charges")
    times: bool = Field(False, description="fit the library's arrival times too: ReflTfirst, timing_par, T1, t0")
    fit: VisibilityFit = Field(default_factory=VisibilityFit, description="visibility fit")
    export: Export = Field(default_factory=Export, description="files for other tools")
    seed: Seed = Field(1, description="seed of every random choice")
    device: Device = Field("auto", description="auto takes a GPU where there is one")
    simulate: SimulateLibrary | None = Field(None, description="make the raw files first")

    @model_validator(mode="after")
    def _belongs_together(self) -> "Library":
        if self.channels is None and self.format != "dune_export":
            raise ValueError(f"key 'channels' is null, expected a JSON list of sensors: format '{self.format}' does not place them")
        if self.y_order != "bottom_up" and self.format != "larndsim_npz":
            raise ValueError(f"key 'y_order' is '{self.y_order}' for format '{self.format}', expected it for 'larndsim_npz' only")
        if self.photons_per_voxel is not None and self.format == "hits":
            raise ValueError("key 'photons_per_voxel' is given for format 'hits', expected none: the photons made in each voxel are counted")
        if self.simulate is not None and self.format != "larsoft":
            raise ValueError(f"key 'simulate' makes a LArSoft library, the format is '{self.format}'; expected 'larsoft'")
        return self
