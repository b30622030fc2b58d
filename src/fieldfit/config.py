"""The configuration: what a user may write, what each key means, and what it is when left out.

The default YAML and the JSON schema are printed from these models by `fieldfit.schema`.
"""

import json
import math
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator

from fieldfit.types import InputError, Optics, nearest
from fieldfit.units import UM

Device = Literal["auto", "cpu", "cuda"]
ONE_STAR = r"^[^*/]*\*[^*/]*$"  # a file name with one * in it
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]


def _seconds(value: Any) -> Any:
    """Seconds since 1970 of a date, taken as UTC without a zone; anything else as it is."""
    if isinstance(value, date):
        value = value.isoformat()
    if not isinstance(value, str):
        return value
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("expected seconds or a date, YYYY-MM-DDThh:mm:ssZ") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


Time = Annotated[float, BeforeValidator(_seconds, json_schema_input_type=float | str), Field(allow_inf_nan=False)]


class Entry(BaseModel):
    """Every model is closed (unknown keys are errors) and frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


# ---------------------------------------------------------------- MAGIS


class Grid(Entry):
    """The cube of voxels on which densities are reported."""

    half_width_m: float = Field(1.6e-3, gt=0, description="half the edge of the cube, centred on the world's origin [m]")
    voxels: int = Field(64, ge=8, le=512, description="voxels along each edge")


class DensityFit(Entry):
    """How the density field is fitted, or which classical answer takes its place."""

    method: Literal["field", "fourier", "siren", "hash", "mlem", "sirt", "tv", "gaussian", "abel"] = Field(
        "field",
        description="field: envelope, fringe, and a correlated free shape; fourier, siren, hash: a neural network on the envelope; mlem, sirt, "
        "tv (mlem with total variation): on voxels, all stopped by held-out photons; gaussian: envelope alone; abel: symmetric about `axis`",
    )
    axis: Literal["x", "y", "z"] = Field("y", description="direction of the axis of symmetry, for `method: abel`")
    steps: int = Field(
        12,
        ge=1,
        description="largest number of Gauss-Newton steps of a free shape, 25 times as many of a network; fewer where held-out photons say so",
    )
    held_out: float = Field(0.1, gt=0, lt=0.5, description="share of the photons, thinned from every pixel, that decides when to stop")
    fringe: bool = Field(True, description="offer the field an explicit fringe where the views' spectra and held-out photons want one")


class Glass(Entry):
    """Plane-parallel window in front of each lens."""

    thickness_m: float = Field(6.35e-3, gt=0, le=0.1, description="thickness [m]")
    index: float = Field(1.4667, ge=1, le=4, description="index of refraction")


class Distortion(Entry):
    """Radial and tangential coefficients of Brown and Conrady, of the tangents of the angles to the optical axis."""

    k1: float = Field(0.0, description="radial, of r^2")
    k2: float = Field(0.0, description="radial, of r^4")
    p1: float = Field(0.0, description="tangential, along up")
    p2: float = Field(0.0, description="tangential, along left")
    k3: float = Field(0.0, description="radial, of r^6")


class SimulateSensor(Entry):
    """Read the simulated shots out by sensors that are not ideal, and make the dark and flat frames of the run's calibrations."""

    gain: float = Field(2.0, gt=0, description="gain, also in the camera file [DN per electron]")
    offset_dn: float = Field(100.0, ge=0, description="value without light and noise [DN]")
    read_noise: float = Field(2.0, ge=0, description="read noise [electrons]")
    full_well: float = Field(20000.0, gt=0, description="electrons that a pixel holds")
    response_spread: float = Field(0.01, ge=0, lt=0.2, description="rms of the pixels' relative responses")
    hot_share: float = Field(2e-4, ge=0, lt=0.1, description="share of the pixels with a dark current of 200 to 2000 electrons")
    dead_share: float = Field(1e-4, ge=0, lt=0.1, description="share of the pixels that answer a tenth as much")
    darks: int = Field(16, ge=2, description="dark frames of each calibration")
    levels: int = Field(8, ge=1, description="pairs of flats of each calibration, their light in even steps up to `brightest`")
    brightest: float = Field(1.2, gt=0, description="light of the brightest pair, in full wells")


class SimulateShots(Entry):
    """Make camera shots of known objects first (demo)."""

    shots: int = Field(6, ge=1, description="number of shots")
    photons: float = Field(1e9, gt=0, description="photons emitted by the object in a shot")
    layout: Literal["ring6", "ring12", "dome"] = Field(
        "ring6", description="six cameras around y, twelve over a hemisphere, or one that looks at eighteen mirrors"
    )
    object: Literal["cloud", "donut", "two_clouds", "spots", "letters", "mesh"] = Field("cloud", description="what shines")
    size_mm: float = Field(0.5, gt=0, description="rms size of the cloud [mm]")
    period_um: float = Field(377.0, gt=0, description="fringe period of the cloud [um]")
    contrast: float = Field(0.8, ge=0, le=1, description="fringe contrast of the cloud; 0: no fringes")
    tilt_deg: float = Field(0.0, description="angle of the wave vector (donut: axis; two clouds: line between them) to y [degrees]")
    azimuth_deg: float = Field(0.0, description="direction of that tilt, from x to z [degrees]")
    defocus_rad: float = Field(0.0, description="Zernike defocus of the fringe phase over two rms sizes across the wave vector (OSA) [rad]")
    extent_mm: float = Field(1.2, gt=0, description="largest width of spots, letters or mesh [mm]")
    mesh: Path | None = Field(None, description="binary STL file, for `object: mesh`")
    jitter_um: float = Field(20.0, ge=0, description="rms wander of the object's centre from shot to shot, along each axis [um]")
    repeats: int = Field(1, ge=1, description="shots in a row that show the same object, its atoms drawn anew")
    sensor: SimulateSensor | None = Field(None, description="real sensors, whose `calibrations` the entry must name; default: ideal ones of gain 1")
    dark: Literal["last", "none"] = Field("last", description="which of several shots is left dark")
    glass: Glass | None = Field(None, description="window in front of each lens, also in the camera file")
    distortion: Distortion | None = Field(None, description="lens distortion, also in the camera file")
    misplaced_um: float = Field(0.0, ge=0, description="rms shift of every view from what the camera file says, along each axis [um]")
    misturned_mrad: float = Field(0.0, ge=0, description="rms turn of every view from what the camera file says, about each axis [mrad]")
    truth_density: bool = Field(False, description="write the true densities too, and list them in the camera file, where no step looks")
    faults: dict[int, Literal["saturated", "blocked", "cosmic", "moved", "outside"]] = Field(
        default_factory=dict, description="shots that something is wrong with, mostly in view 1: {3: blocked}"
    )

    @model_validator(mode="after")
    def _possible(self) -> "SimulateShots":
        if (self.mesh is None) == (self.object == "mesh"):
            found = "no file" if self.mesh is None else f"'{self.mesh}' for object '{self.object}'"
            raise ValueError(f"key 'mesh' names {found}, expected an STL file with `object: mesh` and none otherwise")
        lit = self.shots - 1 if self.dark == "last" and self.shots > 1 else self.shots
        wrong = next((shot for shot in self.faults if not 0 <= shot < lit), None)
        if wrong is not None:
            raise ValueError(f"key 'faults' names shot {wrong}, expected lit shots, 0 to {lit - 1}")
        return self


class Calibration(Entry):
    """Frames that characterise the sensors, and when they hold; of several that cover a time, the one that began last is taken."""

    dark: Path = Field(description="frames without light, exposed as the shots, laid out as the shots are: a number a frame of every sensor")
    flat: Path | None = Field(
        None,
        description="evenly lit frames laid out likewise, two numbers in a row a pair; default: gain of the camera file, no flat field",
    )
    valid_from: Time | None = Field(
        None, description="time of the run from which they hold: seconds, or a date (UTC) where the shots have dates; default: always"
    )
    valid_until: Time | None = Field(None, description="time until before which they hold; default: always")

    @model_validator(mode="after")
    def _in_order(self) -> "Calibration":
        start, end = self.interval
        if not start < end:
            raise ValueError(f"key 'valid_until' is {end:g} s, expected a time after 'valid_from', {start:g} s")
        return self

    @property
    def interval(self) -> tuple[float, float]:
        """Times from which, and until before which, they hold [s]."""
        return -math.inf if self.valid_from is None else self.valid_from, math.inf if self.valid_until is None else self.valid_until


class SetUp(Entry):
    """The cloud that the drawn set-up asks the views about."""

    size_mm: float = Field(0.5, gt=0, le=10, description="rms size of the cloud [mm]")
    contrast: float = Field(0.8, gt=0, lt=1, description="contrast of its fringes")
    photons: float = Field(1e9, gt=0, description="photons that it emits in a shot")
    periods_um: tuple[Annotated[float, Field(gt=0, le=1e5)], ...] = Field(
        (60.0, 100.0, 150.0, 220.0, 377.0), min_length=1, max_length=12, description="fringe periods that are asked for [um]"
    )

    @property
    def shortest(self) -> float:
        """Of the periods [m]."""
        return min(self.periods_um) * UM


class PrintedObject(Entry):
    """A printed object that shines: its surface in every density is compared with its drawing."""

    cad: Path = Field(description="drawing of the object, a binary STL")
    extent_mm: float | None = Field(None, gt=0, le=1e4, description="longest edge of its box [mm]; default: the file's unit is a millimetre")
    level: float = Field(0.5, gt=0, lt=1, description="where the surface lies between the density outside and the plateau inside")
    scale: bool = Field(False, description="fit the object's scale as well as its pose")


def _refined_from(value: Any) -> Any:
    """`shots` or the path of a target's sightings as the mapping that it stands for."""
    if isinstance(value, str):
        return {} if value == "shots" else {"target": value}
    return value


class Refine(Entry):
    """Find where the views really stand. `shots` stands for this with all defaults, a path for `target` alone."""

    target: Path | None = Field(None, description="CSV with sightings of known points (docs/imaging.md); default: the clouds of the shots themselves")
    shots: int = Field(16, ge=1, le=256, description="good shots that are used, from the first of the run on")
    shift_um: float = Field(50.0, gt=0, description="how far cameras and mirrors may stand from where the camera file says: rms an axis [um]")
    turn_mrad: float = Field(0.2, gt=0, description="how far cameras and mirrors may be turned: rms about an axis [mrad]")
    magnification: float = Field(1e-3, gt=0, description="rms of the relative error of a camera's image distance, which sets its magnification")
    focus_um: float = Field(100.0, gt=0, description="rms of the error of a camera's depth of focus [um]")


class Imaging(Entry):
    """Camera shots of a cloud: density, then phase."""

    format: Literal["tiff", "fits", "hdf5"] = Field(
        description="tiff: a folder (a file a view) or a multi-page file a shot; fits: a file a shot; hdf5: many shots a file (docs/formats.md)"
    )
    raw: Path = Field(description="folder of the shots, or (hdf5) one file")
    cameras: Path = Field(description="camera description, JSON or YAML")
    truth: Path | None = Field(None, description="truth of the reference data, for scoring only: no step reads it")
    grid: Grid = Field(default_factory=Grid, description="voxels of the density product")
    fit: DensityFit = Field(default_factory=DensityFit, description="density fit")
    setup: SetUp = Field(default_factory=SetUp, description="which fringes the views are asked for, in `setup.nc`")
    object: PrintedObject | None = Field(None, description="compare each density with a drawing; default: no printed object")
    optics: Optics = Field(
        "auto",
        description="blurs that the images hold: pinhole (none), defocus, diffraction (both; needs wavelength_m); auto: those that take more "
        "than 1 % of the contrast of the finest wave that pixels show and `setup.periods_um` names",
    )
    photons_per_atom: float = Field(1000.0, gt=0, description="photons that an atom emits in an exposure; makes densities absolute")
    start: float = Field(0.0, description="time of shot 0 [s], for frames without time stamps")
    shot_period_s: float = Field(1.0, gt=0, description="time between shots [s], for frames without time stamps")
    block_size: int = Field(64, ge=1, le=4096, description="shots fitted together in one job")
    adc_step: int | None = Field(
        None, ge=1, description="step of the values in the files [DN], 16 for 12 bits kept in the upper ones of 16; default: what the frames show"
    )
    saturation: int | None = Field(
        None,
        ge=1,
        description="value in the files at and above which a pixel is saturated [DN]; default: 4095, 65536 - step on a comb, 255 in 8 bits",
    )
    calibrations: dict[Name, Calibration] = Field(
        default_factory=dict,
        description="dark and flat frames by a name of your choice; default: gain and pedestal of the camera file",
    )
    refine: Annotated[Refine | None, BeforeValidator(_refined_from, json_schema_input_type=Refine | str | None)] = Field(
        None, description="find where the views really stand: `shots`, or the path of a target's sightings; default: where the camera file says"
    )
    flagged_limit: float = Field(1.0, ge=0, le=1, description="share of flagged shots above which the run's phase is refused")
    seed: int = Field(1, description="seed of every random choice")
    device: Device = Field("auto", description="auto takes a GPU where there is one; `method: abel` stays on the CPU")
    simulate: SimulateShots | None = Field(None, description="make the raw files first")

    @model_validator(mode="after")
    def _told_apart(self) -> "Imaging":
        begins: dict[float, str] = {}
        for name, calibration in self.calibrations.items():
            other = begins.setdefault(calibration.interval[0], name)
            if other != name:
                raise ValueError(f"calibrations '{other}' and '{name}' begin at the same time, expected 'valid_from' to differ")
        return self


class SimulateRun(Entry):
    """Make a ports run of known phase first (demo)."""

    shots: int = Field(600, ge=20, description="number of shots")
    atoms: float = Field(1e6, gt=0, description="atoms an interferometer and shot")
    offsets_rad: tuple[float, ...] = Field((0.0, 1.1, 2.1), min_length=2, description="static phase of each interferometer [rad]")
    signal_rad: float = Field(0.012, ge=0, description="amplitude of the injected sine in the highest interferometer [rad]")
    signal_hz: float = Field(0.173, gt=0, description="frequency of the injected sine [Hz]")


class Ports(Entry):
    """Atom counts in the two ports of several interferometers: gradiometer phases."""

    format: Literal["ports"] = Field(description="HDF5 with counts (shot, interferometer, port) and auxiliary channels")
    raw: Path = Field(description="HDF5 file of the run")
    weak_share: float = Field(
        0.2, gt=0, lt=1, description="a shot with fewer atoms than this share of the run's median in any interferometer is weak"
    )
    seed: int = Field(1, description="seed of every random choice")
    device: Device = Field("auto", description="auto takes a GPU where there is one")
    simulate: SimulateRun | None = Field(None, description="make the raw file first")


class SimulatePictures(Entry):
    """Make single fringe pictures of known phase first (demo)."""

    pictures: int = Field(24, ge=1, description="number of pictures")
    electrons: float = Field(2e5, gt=0, description="photo-electrons a picture")


class Pictures(Entry):
    """Single pictures of fringes across a cloud: phases."""

    format: Literal["pictures"] = Field(description="npz with frames (shot, row, column) and pixel_object_m")
    raw: Path = Field(description="npz file of the pictures")
    pedestal: float = Field(2.31, ge=0, description="mean of the Poisson pedestal a pixel [electrons]")
    pixel_integrated: bool = Field(False, description="pixels average the fringe over their area, as a camera's do; false: sampled at their centres")
    start: float = Field(0.0, description="time of picture 0 [s]")
    shot_period_s: float = Field(1.0, gt=0, description="time between pictures [s]")
    seed: int = Field(1, description="seed of every random choice")
    device: Device = Field("auto", description="auto takes a GPU where there is one")
    simulate: SimulatePictures | None = Field(None, description="make the raw file first")


class SimulateTriplets(Entry):
    """Make absorption triplets of a known number of atoms first."""

    shots: int = Field(8, ge=2, description="number of shots")
    atoms: float = Field(1.5e5, ge=0, description="mean number of atoms in a shot; each shot draws its own")
    electrons: float = Field(400.0, gt=0, description="photo-electrons a pixel in the middle of the probe")
    side: int = Field(128, ge=32, le=2048, description="pixels along each edge of a frame")
    gain: float = Field(2.5, gt=0, description="gain of the camera [DN per electron]")
    read_noise: float = Field(6.0, ge=0, description="read noise [DN]")


class Absorption(Entry):
    """Absorption triplets (image, probe, background) of one camera: optical density and atom number."""

    format: Literal["absorption"] = Field(description="three TIFF files a shot: with atoms, without atoms, without light")
    raw: Path = Field(description="folder with the three files of every shot")
    image: str = Field("Image_*", pattern=ONE_STAR, description="name of the frame with atoms; * is the shot's tag, which ends in its number")
    probe: str = Field("Probe_*", pattern=ONE_STAR, description="name of the frame with the same light and no atoms")
    background: str = Field("Background_*", pattern=ONE_STAR, description="name of the frame without light")
    region: tuple[int, int, int, int] | None = Field(
        None, description="where atoms may be: first row, row after the last, first column, column after the last (default: found from the frames)"
    )
    components: int | None = Field(
        None, ge=1, description="eigen-images of the probe that make up a shot's background (default: what held-out pixels predict best)"
    )
    bands_px: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (2.0, 4.0, 8.0, 16.0), description="blurs that split eigen-images, since coarse and fine fringes move apart [px]; [] leaves them whole"
    )
    pixel_object_m: float | None = Field(None, gt=0, description="edge of a pixel at the atoms [m]; without it lengths and atom number are NaN")
    cross_section_m2: float | None = Field(None, gt=0, description="absorption cross section of an atom [m2]; without it the atom number is NaN")
    saturation_counts: float | None = Field(
        None, gt=0, description="counts of a pixel lit at the saturation intensity for the exposure [DN]; corrects the column density"
    )
    gain: float | None = Field(
        None, gt=0, description="variance for a count of light: DN per electron, times an EM register's excess noise (default: photon transfer)"
    )
    read_noise: float | None = Field(None, ge=0, description="read noise [DN] (default: from the background frames' differences)")
    saturation: int = Field(65535, ge=1, description="ADC value at and above which a pixel is saturated [DN]")
    start: float = Field(0.0, description="time of the first shot [s], or of shot 0 where frames have no time stamps")
    shot_period_s: float = Field(1.0, gt=0, description="time between shots [s], for frames without time stamps")
    seed: int = Field(1, description="seed of the simulated files; nothing else is random")
    simulate: SimulateTriplets | None = Field(None, description="make the raw files first")


# ---------------------------------------------------------------- DUNE


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
    fit: VisibilityFit = Field(default_factory=VisibilityFit, description="visibility fit")
    export: Export = Field(default_factory=Export, description="files for other tools")
    seed: int = Field(1, description="seed of every random choice")
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


# ---------------------------------------------------------------- design


class Annulus(Entry):
    """Ring-shaped region."""

    shape: Literal["annulus"]
    centre: tuple[float, float] = Field((0.0, 0.0), description="centre x, y")
    inner: float = Field(gt=0, description="inner radius")
    outer: float = Field(gt=0, description="outer radius")


class EllipticAnnulus(Entry):
    """Elliptic ring, turned by an angle."""

    shape: Literal["elliptic_annulus"]
    centre: tuple[float, float] = Field((0.0, 0.0), description="centre x, y")
    inner: tuple[float, float] = Field(description="inner half-axes")
    outer: tuple[float, float] = Field(description="outer half-axes")
    angle_deg: float = Field(0.0, description="angle of the first half-axis to x [deg]")


class Study(Entry):
    """The detector study: keys of the reference JSON files. Lengths share one unit of the study's own."""

    radius: float = Field(4.0, gt=0, description="radius of the disc")
    mean_free_path: float = Field(0.15, gt=0, description="mean free path at full density")
    energy: float = Field(10.0, gt=0, description="energy of a primary")
    deposit_fraction: float = Field(0.1, gt=0, lt=1, description="share of its energy that a particle deposits at an interaction")
    angle: float = Field(0.15, description="scale of the angle between daughters and parent [rad]")
    cutoff: float = Field(0.5, gt=0, description="energy below which a particle deposits everything")
    source: tuple[float, float] = Field((0.0, 0.0), description="where primaries start, x, y")
    region: Annotated[Annulus | EllipticAnnulus, Field(discriminator="shape")] = Field(description="where deposited energy counts")
    mass_weight: float = Field(0.1, ge=0, description="price of the mean density")


class MaterialFit(Entry):
    """How the material field is optimised."""

    steps: int = Field(450, ge=1, description="optimiser steps")
    primaries: int = Field(384, ge=8, description="primaries a step")
    rate: float = Field(3e-2, gt=0, description="learning rate at the start of the cosine decay")
    cells: int = Field(96, ge=16, le=512, description="cells of the raster along each edge")
    evaluation_primaries: int = Field(2000, ge=100, description="primaries of the held-out evaluation, the same for each candidate")


class Shower(Entry):
    """Free-form material layout through the 2D shower."""

    model: Literal["shower_2d"]
    study: Path | Study = Field(description="JSON file with the study's keys, or the keys in place")
    seeds: tuple[int, ...] = Field((1, 2, 3), min_length=1, description="independent fits")
    fit: MaterialFit = Field(default_factory=MaterialFit, description="material fit")
    device: Device = Field("auto", description="auto takes a GPU where there is one")


class Toy(Entry):
    """The published toy: four gradient estimators of one parameter."""

    model: Literal["published_toy"]
    threshold: float = Field(2.5, description="the parameter at which gradients are taken")
    events: int = Field(5000, ge=50, description="events for each estimator")
    numeric_step: float = Field(0.01, gt=0, description="step of the parameter in the numeric gradient")
    scan: tuple[float, ...] = Field((0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0), min_length=1, description="parameters at which the loss is scanned")
    seeds: tuple[int, ...] = Field((1,), min_length=1, max_length=1, description="seed of the events")


# ---------------------------------------------------------------- gallery


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
    seed: int = Field(1, description="seed of the simulated file; nothing else is random")
    device: Literal["auto", "cpu"] = Field("auto", description="the fit runs on the CPU so far")
    simulate: SimulateTomography | None = Field(None, description="make the raw file first")

    @model_validator(mode="after")
    def _different(self) -> "Tomography":
        for key in ("every", "rows"):
            values = getattr(self, key) or ()
            if len(set(values)) < len(values):
                raise ValueError(f"key '{key}' is {list(values)}, expected different numbers")
        return self


# ---------------------------------------------------------------- the whole


def _by(key: str, **models: str) -> Discriminator:
    """Choose the model of an entry by one of its keys, so that errors speak of that model only."""

    def pick(value: Any) -> str | None:
        found = value.get(key) if isinstance(value, dict) else getattr(value, key, None)
        return models.get(str(found))

    return Discriminator(pick)


Magis = Annotated[
    Union[  # noqa: UP007
        Annotated[Imaging, Tag("imaging")],
        Annotated[Ports, Tag("ports")],
        Annotated[Pictures, Tag("pictures")],
        Annotated[Absorption, Tag("absorption")],
    ],
    _by("format", tiff="imaging", fits="imaging", hdf5="imaging", ports="ports", pictures="pictures", absorption="absorption"),
]
Dune = Library
Design = Annotated[
    Union[Annotated[Shower, Tag("shower")], Annotated[Toy, Tag("toy")]],  # noqa: UP007
    _by("model", shower_2d="shower", published_toy="toy"),
]
Gallery = Tomography


class Config(Entry):
    """Four sections; each maps a name of the user's choice to one entry."""

    magis: dict[Name, Magis] = Field(default_factory=dict, description="runs of the atom interferometer")
    dune: dict[Name, Dune] = Field(default_factory=dict, description="optical libraries")
    design: dict[Name, Design] = Field(default_factory=dict, description="detector studies")
    gallery: dict[Name, Gallery] = Field(default_factory=dict, description="the same equation elsewhere")
    night: str | None = Field(None, description="the magis run that `nightly` makes (default: the last one listed)")

    @model_validator(mode="after")
    def _something_to_do(self) -> "Config":
        if not (self.magis or self.dune or self.design or self.gallery):
            raise ValueError("no entry under magis, dune, design or gallery: nothing to do")
        return self


ENTRY_MODELS: dict[str, dict[str, type[Entry]]] = {
    "magis": {"tiff": Imaging, "fits": Imaging, "hdf5": Imaging, "ports": Ports, "pictures": Pictures, "absorption": Absorption},
    "dune": dict.fromkeys(get_args(LibraryFormat), Library),
    "design": {"shower_2d": Shower, "published_toy": Toy},
    "gallery": {"tomography": Tomography},
}


def load_config(mapping: dict[str, Any], source: str = "configuration") -> Config:
    """The validated configuration.

    Raises InputError with one line a fault: where it is, what was found, what was expected, and the nearest valid key.
    """
    try:
        return Config.model_validate(mapping)
    except ValidationError as error:
        lines = [_explain(fault) for fault in error.errors()]
        raise InputError("\n".join(f"{source}: {line}" for line in lines)) from None


def load_entry(section: str, mapping: dict[str, Any]) -> Any:
    """One entry back from the plain values that a rule carries in its params."""
    config = Config.model_validate({section: {"entry": mapping}})
    return getattr(config, section)["entry"]


def load_study(entry: Shower) -> Study:
    """The study of an entry, in place or from its JSON file. Raises InputError naming the file and the key, also for a geometry that cannot be."""
    if isinstance(entry.study, Study):
        return _possible(entry.study, "study")
    try:
        return _possible(Study.model_validate(json.loads(entry.study.read_text())), str(entry.study))
    except FileNotFoundError:
        raise InputError(f"{entry.study}: no such file, expected a JSON study") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{entry.study}: not JSON ({error})") from None
    except ValidationError as error:
        raise InputError("\n".join(f"{entry.study}: {_explain(fault)}" for fault in error.errors())) from None


def _possible(study: Study, source: str) -> Study:
    """The study when its source lies in the disc and its region has room. Raises InputError."""
    if study.source[0] ** 2 + study.source[1] ** 2 >= study.radius**2:
        raise InputError(f"{source}: key 'source' is {study.source}, expected a point inside the disc of radius {study.radius:g}")
    region = study.region
    edges = [(region.inner, region.outer)] if isinstance(region, Annulus) else list(zip(region.inner, region.outer, strict=True))
    if any(not 0 < inner < outer for inner, outer in edges):
        raise InputError(f"{source}: key 'region' has inner {region.inner} and outer {region.outer}, expected 0 < inner < outer")
    return study


_TAGS: dict[str, type[BaseModel]] = {
    "imaging": Imaging,
    "ports": Ports,
    "pictures": Pictures,
    "absorption": Absorption,
    "shower": Shower,
    "toy": Toy,
    "Study": Study,
    "annulus": Annulus,
}
_TAGS["elliptic_annulus"] = EllipticAnnulus


def _explain(fault: Any) -> str:
    where = [str(part) for part in fault["loc"]]
    place = ".".join(part for part in where if part not in _TAGS) or "top level"
    found = fault.get("input")
    if fault["type"] == "extra_forbidden":
        keys = _keys_at(where[:-1])
        return f"unknown key '{place}'{nearest(where[-1], keys)} (known here: {', '.join(sorted(keys))})"
    if fault["type"] == "missing":
        return f"key '{place}' is missing, expected {_description(where)}"
    if fault["type"] in ("union_tag_invalid", "union_tag_not_found"):
        section = where[0] if where else ""
        key, known = ("model", ENTRY_MODELS["design"]) if section == "design" else ("format", ENTRY_MODELS.get(section, {}))
        given = found.get(key) if isinstance(found, dict) else found
        return f"'{place}.{key}' is {given!r}, expected one of {', '.join(known)}{nearest(str(given), known)}"
    if fault["type"] == "value_error" and isinstance(found, dict):  # of a whole entry, whose text names its keys
        return f"'{place}': {fault['msg'].removeprefix('Value error, ')}"
    return f"'{place}' is {found!r}: {fault['msg']}"


def _model_at(where: list[str]) -> type[BaseModel]:
    """The model that a location inside the configuration belongs to."""
    model: type[BaseModel] = Config
    for part in where:
        if part in _TAGS:
            model = _TAGS[part]
        elif part in model.model_fields:
            inner = [a for a in (model.model_fields[part].annotation, *get_args(model.model_fields[part].annotation)) if isinstance(a, type)]
            models: list[type[BaseModel]] = [a for a in inner if issubclass(a, BaseModel)]
            model = models[0] if models else model
            model = Library if part == "dune" else model
    return model


def _keys_at(where: list[str]) -> list[str]:
    return list(_model_at(where).model_fields)


def _description(where: list[str]) -> str:
    field = _model_at(where[:-1]).model_fields.get(where[-1])
    return (field.description if field else None) or "a value"
