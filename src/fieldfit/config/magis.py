"""Configuration of MAGIS-100: imaging, ports, pictures of fringes, absorption images, calibrations, set-ups."""

import math
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from fieldfit.config.entry import ONE_STAR, Device, Entry, Name, Seed, Time
from fieldfit.types import Optics
from fieldfit.units import UM


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

    shots: int = Field(6, ge=1, le=100_000, description="number of shots")
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
    seed: Seed = Field(1, description="seed of every random choice")
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
    seed: Seed = Field(1, description="seed of every random choice")
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
    seed: Seed = Field(1, description="seed of every random choice")
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
    seed: Seed = Field(1, description="seed of the simulated files; nothing else is random")
    simulate: SimulateTriplets | None = Field(None, description="make the raw files first")
