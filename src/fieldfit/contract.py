"""The one table of products: each variable's dimensions, units, meaning and flags.

Writers build their files from it (`io.products.product`), and the reference page `docs/products.md` is printed from it by
`python -m fieldfit.contract`.
"""

from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from fieldfit.types import FlashStatus, Status, VoxelQuality


class BudgetStatus(IntEnum):
    """Verdict of one row of the systematics budget."""

    passed = 0
    failed = 1
    not_measured = 2


class PixelUse(IntEnum):
    """What a pixel of an absorption picture was used for."""

    fitted = 0
    held_out = 1
    atoms = 2
    dark = 3  # too little light in the probe for a logarithm


class SensorPixel(IntEnum):
    """What a pixel of a sensor is good for."""

    good = 0
    hot = 1  # much brighter than its neighbours without light
    noisy = 2  # varies more than others without light
    dead = 3  # answers less than half as much as its neighbours
    absent = 4  # beyond a sensor smaller than the largest


class Sign(IntEnum):
    """A yes-or-no variable."""

    no = 0
    yes = 1


@dataclass(frozen=True)
class Variable:
    """One variable of a product. `flags` replaces `units` for quality variables; `text` marks strings."""

    dims: str
    units: str
    meaning: str
    required: bool = True
    flags: type[IntEnum] | None = None
    text: bool = False
    standard_name: str | None = None


def _v(dims: str, units: str, meaning: str) -> Variable:
    return Variable(dims, units, meaning)


def _maybe(dims: str, units: str, meaning: str) -> Variable:
    return Variable(dims, units, meaning, required=False)


def _flag(dims: str, flags: type[IntEnum], meaning: str) -> Variable:
    return Variable(dims, "", meaning, flags=flags)


def _text(dims: str, meaning: str) -> Variable:
    return Variable(dims, "", meaning, text=True)


def _maybe_text(dims: str, meaning: str) -> Variable:
    return Variable(dims, "", meaning, required=False, text=True)


# Coordinates: a dimension has the same units and meaning wherever it occurs.
COORDINATES: dict[str, Variable] = {
    "shot": _v("shot", "1", "number that the data acquisition gave the shot"),
    "view": _v("view", "1", "camera or mirror view"),
    "sensor": _v("sensor", "1", "sensor, in the order of the frames of a shot"),
    "level": _v("level", "1", "pair of flats of equal exposure, in the order of their numbers"),
    "row": _v("row", "1", "pixel row"),
    "column": _v("column", "1", "pixel column"),
    "x": _v("x", "m", "position along x"),
    "y": _v("y", "m", "position along y"),
    "z": _v("z", "m", "position along z"),
    "axis": _text("axis", "axis of the laboratory frame"),
    "vertex": _v("vertex", "1", "corner of the surface's triangles, counted over all shots"),
    "triangle": _v("triangle", "1", "triangle of the surface, counted over all shots"),
    "triangle_corner": _v("triangle_corner", "1", "corner of a triangle"),
    "drawing_axis": _text("drawing_axis", "axis of the drawing's own frame"),
    "drawing_sample": _v("drawing_sample", "1", "point of the drawing"),
    "drawing_face": _v("drawing_face", "1", "triangle of the drawing"),
    "corner": _v("corner", "1", "corner of the reported cube"),
    "outline": _v("outline", "1", "point along an outline"),
    "period": _v("period", "m", "fringe period"),
    "polar": _v("polar", "rad", "angle of the wave vector to y"),
    "azimuth": _v("azimuth", "rad", "direction of the wave vector around y, from x to z"),
    "object_width": _v("object_width", "m", "width of the object that is looked at"),
    "spatial_frequency": _v("spatial_frequency", "m-1", "waves a metre"),
    "image_axis": _text("image_axis", "axis of a picture: row or column"),
    "degree": _text("degree", "degree of freedom of a view"),
    "component": _v("component", "1", "number of eigen-images in the background"),
    "frequency": _v("frequency", "1", "index into signal_frequency"),
    "density_frequency": _v("density_frequency", "1", "index into spectrum_frequency"),
    "averaging": _v("averaging", "1", "index into averaging_time"),
    "pair": _v("pair", "1", "pair of interferometers"),
    "interferometer": _v("interferometer", "1", "interferometer, from the lowest"),
    "budget": _text("budget", "row of the systematics budget"),
    "auxiliary": _text("auxiliary", "auxiliary channel of the shot files"),
    "coupling": _text("coupling", "auxiliary quantity that couples to the phase"),
    "coefficient": _text("coefficient", "Zernike term of the wavefront, OSA name"),
    "channel": _v("channel", "1", "optical channel"),
    "decade": _v("decade", "1", "lower edge of the visibility decade, log10"),
    "method": _text("method", "how the values are found"),
    "every": _v("every", "1", "every n-th view is used"),
    "track": _v("track", "1", "track in the order of the file"),
    "flash": _v("flash", "1", "flash in the order of the file"),
    "run": _v("run", "1", "number of the run that a track was measured in"),
    "seed": _v("seed", "1", "seed of an independent fit"),
    "step": _v("step", "1", "optimiser step"),
    "candidate": _text("candidate", "design that was evaluated"),
    "estimator": _text("estimator", "gradient estimator"),
    "parameter": _text("parameter", "parameter that the gradient is taken for"),
    "scan": _v("scan", "1", "index into scan_threshold"),
    "weight": _v("weight", "1", "index into the weights of the field"),
    "timing": _text("timing", "column of arrival times, named as in the library"),
    "arrival_weight": _v("arrival_weight", "1", "index into the weights of the arrival times' field"),
}

_SHOT = {
    "time": Variable("shot", "s", "time of the shot since the start of the run, or since 1970 (UTC) where its stamp is a date", standard_name=None),
    "status": _flag("shot", Status, "flag of the shot"),
}

PRODUCTS: dict[str, dict[str, Variable]] = {
    "setup": {
        "view_name": _text("view", "name of the view in the camera file"),
        "lens_position": _v("view axis", "m", "middle of the lens; of a mirror's view: where the mirror shows it"),
        "look": _v("view axis", "1", "optical axis, from the lens to the object"),
        "up": _v("view axis", "1", "direction of the rows"),
        "left": _v("view axis", "1", "direction of the columns"),
        "sight": _v("view axis", "1", "line of sight: from the origin to the middle of the lens's open part"),
        "mirror_position": _v("view axis", "m", "middle of the mirror; NaN without one"),
        "mirror_normal": _v("view axis", "1", "direction in which the mirror looks; NaN without one"),
        "mirror_radius": _v("view", "m", "radius of the mirror; NaN without one"),
        "distance": _v("view", "m", "from the origin to the middle of the lens's open part"),
        "pixel_at_object": _v("view", "m", "edge of a pixel at the origin"),
        "rows": _v("view", "1", "rows of the view's region"),
        "columns": _v("view", "1", "columns of the view's region"),
        "depth_of_field": _v("view", "m", "depth over which the lens's blur is no wider than a pixel"),
        "out_of_focus": _v("view", "m", "depth of the origin behind the plane of focus"),
        "defocus_blur": _v("view", "1", "largest rms blur off focus of a place in the reported cube, in pixels"),
        "diffraction_blur": _v("view", "1", "the same by diffraction; 0 without a wavelength"),
        "defocus_held": _v("view", "1", "1 where the expected images hold the blur off focus"),
        "diffraction_held": _v("view", "1", "1 where they hold diffraction"),
        "light_share": _v("view", "1", "share of the photons emitted at the origin that pass the lens"),
        "electrons_per_photon": _v("view", "1", "photo-electrons for a photon emitted at the origin"),
        "origin": _v("view image_axis", "1", "image of the origin in pixels from the region's corner"),
        "cube_footprint": _v("view corner image_axis", "1", "images of the corners of the reported cube, in pixels"),
        "cloud_footprint": _v("view outline image_axis", "1", "outline of the image of a sphere of two rms sizes of the cloud, in pixels"),
        "cube_share": _v("view", "1", "share of the reported cube whose image lies on the region"),
        "cloud_share": _v("view", "1", "share of the cloud whose image lies on the region"),
        "cube_inside": _flag("view", Sign, "whether the whole reported cube is in the view"),
        "sphere_inside": _flag("view", Sign, "whether the sphere inside the reported cube is in the view"),
        "views_of_place": _v("x y z", "1", "views whose region holds the place and that see at least half of the origin's light from it"),
        "contrast_seen": _v("period polar azimuth", "1", "contrast of the fringe in the view that shows most of it"),
        "phase_std": _v("period polar azimuth", "rad", "expected standard deviation of the fringe's phase from all views; pi/sqrt(3): unknown"),
        "views_that_see": _v("period polar azimuth", "1", "views that tell the phase to 1/8 rad each by itself; 0: the fringe is not seen"),
        "directions_seen": _v("period", "1", "share of all directions whose fringes at least one view sees"),
        "fourier_coverage": _v("object_width spatial_frequency", "1", "share of the Fourier shell that the views measure"),
        "fsc_limit": _v("object_width spatial_frequency", "1", "largest Fourier shell correlation without a prior, sqrt(fourier_coverage)"),
    },
    "sensor": {
        "dark": _v("sensor row column", "count", "frame without light, mean (count: a step of the ADC)"),
        "dark_std": _v("sensor row column", "count", "standard error of dark"),
        "dark_variance": _v("sensor", "count2", "variance of a pixel without light"),
        "dark_variance_std": _v("sensor", "count2", "standard error of dark_variance"),
        "gain": _v("sensor", "count", "ADC steps an electron, by photon transfer; NaN without flats"),
        "gain_std": _v("sensor", "count", "standard deviation of gain"),
        "read_noise": _v("sensor", "1", "noise of a pixel without light in electrons: read-out, dark current and pedestal; NaN without flats"),
        "read_noise_std": _v("sensor", "1", "standard deviation of read_noise"),
        "flat": _v("sensor row column", "1", "response of a pixel, 1 on average; NaN without flats"),
        "flat_std": _v("sensor row column", "1", "standard deviation of flat"),
        "quality": _flag("sensor row column", SensorPixel, "what a pixel is good for"),
        "saturation": _v("sensor", "count", "value at which the variance has fallen off: the pixels are full; NaN where no flat reached it"),
        "saturation_std": _v("sensor", "count", "scatter of the pixels there"),
        "level_mean": _maybe("sensor level", "count", "mean of a pair of flats above the dark"),
        "level_variance": _maybe("sensor level", "count2", "variance of a pixel at that level, from the difference of the pair"),
        "level_variance_std": _maybe("sensor level", "count2", "standard deviation of level_variance"),
        "level_used": Variable("sensor level", "", "whether the level lies on the line that gives the gain", required=False, flags=Sign),
        "valid_from": _v("", "s", "time of the run from which the calibration holds"),
        "valid_until": _v("", "s", "time of the run until before which it holds"),
    },
    "electrons": {
        "electrons": _v("shot view row column", "1", "photo-electrons above the pedestal"),
        "variance": _v("shot view row column", "1", "variance of a pixel's electrons; infinite where a pixel is bad, or was hit by a cosmic ray"),
        "pedestal": _v("view", "1", "mean of the Poisson pedestal in electrons a pixel; of a calibrated sensor: with its noise without light"),
        "hit_pixels": _maybe("shot", "1", "pixels that cosmic rays hit: their electrons are the median of their surroundings"),
        "auxiliary_value": _maybe("shot auxiliary", "1", "auxiliary channels in the units of auxiliary_units, as the shot files have them"),
        "auxiliary_units": _maybe_text("auxiliary", "units of the channel"),
        **_SHOT,
    },
    "geometry": {
        "correction": _v(
            "view degree", "1", "how a view differs from the camera file, in the units of degree_units, along its own axes; NaN: it has none"
        ),
        "correction_std": _v("view degree", "1", "standard deviation of correction, the gauge's freedom included"),
        "correction_prior": _v("view degree", "1", "standard deviation of correction before anything was seen"),
        "degree_units": _text("degree", "units of the correction"),
        "lens_position": _v("view axis", "m", "centre of the refined lens; of a mirror's view: of the reflected camera"),
        "look": _v("view axis", "1", "line of sight of the refined view"),
        "left": _v("view axis", "1", "direction of its columns"),
        "up": _v("view axis", "1", "direction of its rows"),
        "focal_length": _v("view", "m", "refined focal length"),
        "magnification": _v("view", "1", "refined magnification in the plane of focus"),
        "mirror_centre": _v("view axis", "m", "centre of the refined mirror; NaN for a straight view"),
        "mirror_normal": _v("view axis", "1", "normal of the refined mirror; NaN for a straight view"),
        "image_shift": _v("view image_axis", "1", "how far the correction moves the image of the world's origin [camera pixels]"),
        "image_shift_std": _v("view image_axis", "1", "standard deviation of image_shift, the gauge's freedom included"),
        "chi2_before": _v("view", "1", "chi-square a pixel (a coordinate of a target) with the camera file"),
        "chi2_after": _v("view", "1", "the same with the refined cameras"),
        "residual_before": _maybe(
            "view row column", "1", "residuals of all used shots together with the camera file, in standard deviations of a binned pixel"
        ),
        "residual_after": _maybe("view row column", "1", "the same with the refined cameras"),
        "shift_before": _maybe(
            "shot view image_axis", "1", "shift of the view's image from where the other views put the cloud, camera file [camera pixels]"
        ),
        "shift_before_std": _maybe("shot view image_axis", "1", "standard deviation of shift_before"),
        "shift_after": _maybe("shot view image_axis", "1", "the same with the refined cameras"),
        "shift_after_std": _maybe("shot view image_axis", "1", "standard deviation of shift_after"),
        "used": Variable("shot", "", "whether the shot was used", required=False, flags=Sign),
        "sightings": _maybe("view", "1", "sightings of a target's points"),
        "reprojection_before": _v("view", "1", "rms shift that single shots, or sightings, ask for with the camera file [camera pixels]"),
        "reprojection_after": _v("view", "1", "the same with the refined cameras"),
    },
    "density": {
        "density": _v("shot x y z", "m-3", "number density of atoms, voxel means"),
        "density_std": _v("shot x y z", "m-3", "standard deviation of density"),
        "chi2_reduced": _v("shot", "1", "chi-square of the views per degree of freedom"),
        "resolution_split_half": _v("shot", "m", "resolution where two halves of the photons agree (FSC 0.143)"),
        "resolution_above_plateau": _maybe("shot", "m", "resolution where two halves agree beyond what their common atoms make them"),
        "split_half_plateau": _maybe("shot", "1", "correlation of the halves' noise because they share the atoms"),
        "split_half_correlation": _maybe("shot spatial_frequency", "1", "Fourier shell correlation of two halves of the photons"),
        "split_half_correlation_std": _maybe("shot spatial_frequency", "1", "standard deviation of split_half_correlation"),
        "split_half_power": _maybe("shot spatial_frequency", "m-6", "power spectrum of one of the halves, mean over the shell"),
        "half_bit": _maybe("spatial_frequency", "1", "correlation at which a shell holds half a bit of information"),
        "field_weights": _v("shot weight", "1", "weights of the field, described by the attribute `field`"),
        "phase": _maybe("shot", "rad", "fringe phase at the world's origin, from the field's fringe"),
        "phase_std": _maybe("shot", "rad", "standard deviation of phase"),
        "contrast": _maybe("shot", "1", "fringe contrast"),
        "contrast_std": _maybe("shot", "1", "standard deviation of contrast"),
        "fringe_period": _maybe("shot", "m", "fringe period"),
        "fringe_period_std": _maybe("shot", "m", "standard deviation of fringe_period"),
        "fringe_wave_vector": _maybe("shot axis", "m-1", "wave vector of the fringe"),
        "atom_number": _maybe("shot", "1", "atoms in the cloud"),
        "atom_number_std": _maybe("shot", "1", "standard deviation of atom_number"),
        "position": _maybe("shot axis", "m", "centre of the cloud's envelope"),
        "position_std": _maybe("shot axis", "m", "standard deviation of position"),
        "size": _maybe("shot axis", "m", "rms size of the cloud's envelope"),
        "size_std": _maybe("shot axis", "m", "standard deviation of size"),
        "wavefront": _maybe("shot coefficient", "rad", "Zernike coefficients of the fringe phase across the cloud"),
        "wavefront_std": _maybe("shot coefficient", "rad", "standard deviation of wavefront"),
        "view_shift": _maybe("shot view image_axis", "1", "shift of the view's image, in camera pixels, from where the other views put the cloud"),
        "view_shift_std": _maybe("shot view image_axis", "1", "standard deviation of view_shift"),
        "fringe_power": _maybe("shot view", "1", "power of a wave in each view's spectrum, in its noise; 0 where none was found"),
        "least_contrast": _maybe("shot", "1", "contrast from which on a fringe is found that a view sees whole; above 1: none"),
        "held_out_deviance": _maybe("shot", "1", "deviance of the held-out photons a pixel at the step that was kept"),
        "kept_step": _maybe("shot", "1", "optimiser step that the held-out photons kept"),
        **_SHOT,
    },
    "surface": {
        "vertex_position": _v("vertex axis", "m", "corner of the surface's triangles; those of a shot follow on those of the shot before"),
        "distance": _v("vertex", "m", "distance of the vertex to the drawing, negative inside of it"),
        "triangle_vertex": _v("triangle triangle_corner", "1", "index of a vertex, counted over all shots; anticlockwise seen from outside"),
        "vertex_count": _v("shot", "1", "vertices of the shot"),
        "triangle_count": _v("shot", "1", "triangles of the shot"),
        "level": _v("shot", "m-3", "density at which the surface lies"),
        "plateau": _v("shot", "m-3", "median density inside"),
        "islands": _v("shot", "1", "small pieces that were left out"),
        "rotation": _v("shot axis drawing_axis", "1", "of the drawing: position = scale * rotation @ drawing + translation"),
        "translation": _v("shot axis", "m", "of the middle of the drawing's box"),
        "scale": _v("shot", "1", "of the drawing; 1 where it is not fitted"),
        "registration_rms": _v("shot", "m", "rms distance of the nearest 95 % of points of the surface after the registration"),
        "distance_rms": _v("shot", "m", "rms of distance over the surface"),
        "distance_mean": _v("shot", "m", "mean of distance over the surface: positive where the surface is too large"),
        "distance_median": _v("shot", "m", "median of |distance| over the surface"),
        "distance_95": _v("shot", "m", "95 % quantile of |distance| over the surface"),
        "drawing_distance_rms": _v("shot", "m", "rms of drawing_distance"),
        "drawing_distance_median": _v("shot", "m", "median of |drawing_distance|"),
        "drawing_distance_95": _v("shot", "m", "95 % quantile of |drawing_distance|"),
        "volume_ratio": _v("shot", "1", "volume inside the surface over that of the drawing at its scale"),
        "drawing_point": _v("drawing_sample drawing_axis", "m", "points spread evenly over the drawing, from the middle of its box"),
        "drawing_distance": _v("shot drawing_sample", "m", "distance of the drawing's points to the surface, negative inside of it"),
        "drawing_triangle": _v("drawing_face triangle_corner drawing_axis", "m", "corners of the drawing's triangles, from the middle of its box"),
        **_SHOT,
    },
    "phase": {
        "phase": _v("shot", "rad", "fringe phase"),
        "phase_std": _v("shot", "rad", "standard deviation of phase"),
        "contrast": _v("shot", "1", "fringe contrast"),
        "contrast_std": _v("shot", "1", "standard deviation of contrast"),
        "fringe_period": _v("shot", "m", "fringe period"),
        "fringe_period_std": _v("shot", "m", "standard deviation of fringe_period"),
        "atom_number": _v("shot", "1", "atoms in the cloud"),
        "atom_number_std": _v("shot", "1", "standard deviation of atom_number"),
        "position": _v("shot axis", "m", "centre of the cloud's envelope"),
        "position_std": _v("shot axis", "m", "standard deviation of position"),
        "size": _v("shot axis", "m", "rms size of the cloud's envelope"),
        "size_std": _v("shot axis", "m", "standard deviation of size"),
        "chi2_reduced": _maybe("shot", "1", "chi-square per degree of freedom"),
        "tilt": _maybe("shot", "rad", "angle of the fringe's wave vector to the picture's rows axis"),
        "tilt_std": _maybe("shot", "rad", "standard deviation of tilt"),
        "electrons": _maybe("shot", "1", "photo-electrons of the cloud in the picture, without its fringe"),
        "electrons_std": _maybe("shot", "1", "standard deviation of electrons"),
        "wavefront": _v("shot coefficient", "rad", "Zernike coefficients of the fringe phase across the cloud"),
        "wavefront_std": _v("shot coefficient", "rad", "standard deviation of wavefront"),
        **_SHOT,
    },
    "gradiometer": {
        "differential_phase": _v("pair shot", "rad", "phi_b - phi_a from this shot alone"),
        "differential_phase_std": _v("pair shot", "rad", "standard deviation of differential_phase"),
        "differential_phase_corrected": _v("pair shot", "rad", "differential_phase less the couplings of position and intensity"),
        "interferometer_a": _v("pair", "1", "index of interferometer a"),
        "interferometer_b": _v("pair", "1", "index of interferometer b"),
        "offset": _v("pair", "rad", "static differential phase"),
        "offset_std": _v("pair", "rad", "standard deviation of offset"),
        "contrast": _v("shot interferometer", "1", "fringe contrast, slowly varying"),
        "coupling_value": _v("pair coupling", "rad", "phase for one standard deviation of the auxiliary quantity"),
        "coupling_std": _v("pair coupling", "rad", "standard deviation of coupling_value"),
        "chi2_reduced": _v("pair", "1", "chi-square of the corrected series per degree of freedom"),
        "spectrum_frequency": _v("density_frequency", "Hz", "frequency of the amplitude density"),
        "spectrum": _v("pair density_frequency", "rad Hz-0.5", "one-sided amplitude density of the corrected series"),
        "averaging_time": _v("averaging", "s", "averaging time of the Allan deviation"),
        "allan_deviation": _v("pair averaging", "rad", "overlapping Allan deviation of the corrected series"),
        "allan_deviation_std": _v("pair averaging", "rad", "standard deviation of allan_deviation"),
        "signal_frequency": _v("frequency", "Hz", "frequency of the periodogram"),
        "signal_amplitude": _v("pair frequency", "rad", "amplitude of a sine in the corrected series, weighted least squares over gaps"),
        "signal_amplitude_std": _v("pair frequency", "rad", "standard deviation of signal_amplitude"),
        "budget_value": _v("budget", "1", "measured value in the units of budget_units"),
        "budget_std": _v("budget", "1", "standard deviation of budget_value"),
        "budget_target": _v("budget", "1", "target in the units of budget_units"),
        "budget_units": _text("budget", "units of the row"),
        "budget_status": _flag("budget", BudgetStatus, "verdict of the row"),
        **_SHOT,
    },
    "optical_density": {
        "optical_density": _v("shot row column", "1", "-ln of the transmission, against the shot's eigen-background; NaN where the probe is dark"),
        "optical_density_std": _v("shot row column", "1", "standard deviation of optical_density"),
        "optical_density_raw": _v("shot row column", "1", "-ln((image - background)/(probe - background)) of the shot's own three frames"),
        "column_density": _maybe("shot row column", "m-2", "atoms per area; only where the cross section is known"),
        "pixel_use": _flag("row column", PixelUse, "what a pixel was used for"),
        "optical_density_sum": _v("shot", "1", "sum of the optical density over the atoms' region, with the saturation term where asked for"),
        "optical_density_sum_std": _v("shot", "1", "standard deviation of optical_density_sum"),
        "atom_number": _v("shot", "1", "atoms in the region; NaN without pixel size or cross section"),
        "atom_number_std": _v("shot", "1", "standard deviation of atom_number"),
        "centre": _v("shot image_axis", "1", "centre of the atoms in pixels, by moments in the region; NaN without atoms at 5 standard deviations"),
        "centre_std": _v("shot image_axis", "1", "standard deviation of centre"),
        "width": _v("shot image_axis", "1", "rms width of the atoms in pixels, by moments in the region"),
        "width_std": _v("shot image_axis", "1", "standard deviation of width"),
        "position": _v("shot image_axis", "m", "centre less the picture's middle, times the pixel; NaN without pixel size"),
        "position_std": _v("shot image_axis", "m", "standard deviation of position"),
        "size": _v("shot image_axis", "m", "width times the pixel; NaN without pixel size"),
        "size_std": _v("shot image_axis", "m", "standard deviation of size"),
        "background_rms_raw": _v("shot", "1", "rms optical density of held-out pixels without atoms, own probe"),
        "background_rms_scaled": _v("shot", "1", "the same with the own probe scaled to the image's light"),
        "background_rms": _v("shot", "1", "the same with the eigen-background"),
        "background_floor_raw": _v("shot", "1", "what photon and read noise alone make of background_rms_scaled"),
        "background_floor": _v("shot", "1", "what photon and read noise alone make of background_rms"),
        "structure_std": _v("shot", "1", "rms optical density of the fringes that are left, from background_rms beyond its floor"),
        "components": _v("shot", "1", "eigen-images in the shot's background"),
        "opaque_pixels": _v("shot", "1", "pixels in the region that let no light through: their optical density is a lower limit"),
        "held_out_chi2": _v("component", "1", "mean square of held-out residuals over the image's noise, for 1, 2, ... eigen-images"),
        **_SHOT,
    },
    "library": {
        "visibility": _v("channel x y z", "1", "share of the photons made in a voxel that reach a channel, as read"),
        "counting_std": _v("channel x y z", "1", "standard deviation of visibility by counting statistics"),
        "quality_mask": _flag("channel x y z", VoxelQuality, "flag of the value"),
        "channel_position": _v("channel axis", "m", "centre of the sensor"),
        "channel_normal": _v("channel axis", "1", "direction in which the sensor looks"),
        "channel_radius": _v("channel", "m", "radius of the sensor"),
        "photons_made": _maybe("x y z", "1", "photons made in each voxel, where the file counts them"),
        "arrival": _maybe("timing channel x y z", "ns", "arrival times as read (key times); NaN where no photon arrived"),
    },
    "visibility": {
        "visibility": _v("channel x y z", "1", "fitted visibility at the voxels' centres"),
        "visibility_std": _v("channel x y z", "1", "standard deviation of the fitted visibility"),
        "library_visibility": _v("channel x y z", "1", "the library as read; masked voxels filled from neighbours"),
        "counting_std": _v("channel x y z", "1", "standard deviation of library_visibility by counting statistics"),
        "quality_mask": _flag("channel x y z", VoxelQuality, "flag of library_visibility"),
        "channel_position": _v("channel axis", "m", "centre of the sensor"),
        "channel_normal": _v("channel axis", "1", "direction in which the sensor looks"),
        "channel_radius": _v("channel", "m", "radius of the sensor"),
        "relative_error": _v("method decade", "1", "mean 2|p-v|/(p+v) against held-out library voxels, counting noise included"),
        "bias": _v("method decade", "1", "sum(p)/sum(v) - 1 on held-out library voxels"),
        "loss": _v("step", "1", "mean deviance a step"),
        "field_weights": _v("weight", "1", "weights of the field, described by the attribute `field`"),
        "arrival": _maybe("timing channel x y z", "ns", "fitted arrival times at the voxels' centres (key times)"),
        "arrival_std": _maybe("timing channel x y z", "ns", "standard deviation of the fitted arrival times"),
        "arrival_weights": _maybe("arrival_weight", "1", "weights of the arrival times' field, described by the attribute `arrival_field`"),
    },
    "calibration": {
        "efficiency": _v("channel", "1", "detected photo-electrons per photon that reaches the channel, mean of the runs by light; 0 for a dead one"),
        "efficiency_std": _v("channel", "1", "standard deviation of efficiency, up to one factor common to all channels (attribute `gauge`)"),
        "efficiency_run": _v("run channel", "1", "efficiency in each run"),
        "efficiency_run_std": _v("run channel", "1", "standard deviation of efficiency_run"),
        "saturation_pe": _v("channel", "1", "photo-electrons that a reading cannot exceed; NaN for a channel that does not saturate"),
        "visibility_calibrated": _v("channel x y z", "1", "detected photo-electrons per photon made"),
        "visibility_calibrated_std": _v("channel x y z", "1", "standard deviation of visibility_calibrated, the simulation's own error in it"),
        "track_pe_measured": _v("track channel", "1", "measured photo-electrons"),
        "track_pe_predicted": _v("track channel", "1", "photo-electrons that the calibrated visibility predicts, after saturation"),
        "track_used": _flag("track", Sign, "whether the track was fitted"),
        "track_weight": _v("track", "1", "chance that the track as a whole is right: its weight in the fit"),
        "track_run": _v("track", "1", "number of the track's run"),
        "dead": _flag("channel", Sign, "whether the channel is dead"),
        "channel_position": _v("channel axis", "m", "centre of the sensor"),
        "field_weights": _v("weight", "1", "weights of the field, described by the attribute `field`"),
    },
    "flashes": {
        "position": _v("flash axis", "m", "place of the flash"),
        "position_std": _v("flash axis", "m", "standard deviation of position"),
        "position_looked_up": _v("flash axis", "m", "the most likely voxel of the table"),
        "charge": _v("flash", "1", "photons made"),
        "charge_std": _v("flash", "1", "standard deviation of charge"),
        "chi2_reduced": _v("flash", "1", "chi-square a degree of freedom"),
        "pe_measured": _v("flash channel", "1", "measured photo-electrons"),
        "pe_predicted": _v("flash channel", "1", "photo-electrons of a flash at that place and of that charge"),
        "status": _flag("flash", FlashStatus, "flag of the flash"),
        "channel_position": _v("channel axis", "m", "centre of the sensor"),
    },
    "material": {  # one seed of a study
        "material": _v("seed y x", "1", "share of full density"),
        "loss": _v("seed step", "1", "estimated loss at each step"),
        "field_weights": _v("seed weight", "1", "weights of the field, described by the attribute `field`"),
    },
    "design": {
        "material": _v("seed y x", "1", "share of full density"),
        "loss": _v("seed step", "1", "estimated loss at each step"),
        "evaluation_loss": _v("seed candidate", "1", "loss on held-out seeds, the same showers for each candidate"),
        "evaluation_loss_std": _v("seed candidate", "1", "standard error of evaluation_loss"),
        "difference_to_ring": _v("seed candidate", "1", "evaluation_loss less that of the best ring, shower by shower"),
        "difference_to_ring_std": _v("seed candidate", "1", "standard error of difference_to_ring"),
        "check_loss": _v("seed candidate", "1", "loss by an independent simulation (delta tracking)"),
        "check_loss_std": _v("seed candidate", "1", "standard error of check_loss"),
        "ring_inner": _v("seed", "1", "inner radius of the best ring, in the study's length unit"),
        "ring_outer": _v("seed", "1", "outer radius of the best ring, in the study's length unit"),
        "ring_centre": _v("seed axis", "1", "centre of the best ring, in the study's length unit"),
        "field_weights": _v("seed weight", "1", "weights of the field, described by the attribute `field`"),
    },
    "toy": {
        "gradient": _v("estimator parameter", "1", "mean gradient of the loss an event"),
        "gradient_std": _v("estimator parameter", "1", "spread of the gradient over events"),
        "gradient_error": _v("estimator parameter", "1", "standard error of gradient"),
        "scan_threshold": _v("scan", "1", "parameter of the scan"),
        "scan_loss": _v("scan", "1", "loss at the parameter"),
        "scan_loss_std": _v("scan", "1", "standard error of scan_loss"),
    },
    "tomogram": {  # lengths in pixels, units 1, where the pixel is not given
        "attenuation": _v("method every row y x", "m-1", "linear attenuation coefficient at the voxels' centres, around the rotation axis"),
        "held_out_chi2": _v("method every row", "1", "chi-square a ray of the views that no method saw, in the noise of their photons"),
        "held_out_chi2_object": _v("method every row", "1", "the same of the rays through the object"),
        "relative_to_fbp": _v("method every row", "1", "relative L2 distance to filtered back-projection of the most views: a reference, not truth"),
        "relative_to_sirt": _v("method every row", "1", "relative L2 distance to SIRT of the most views: a reference, not truth"),
        "kept_step": _v("method every row", "1", "step at which held-out views stopped the method; 0 where there are none"),
        "duration": _v("method every", "s", "time that the method took for all rows; the field's starts from SIRT's answer"),
        "fringe": _v("every row", "m2", "strength of the propagation fringe in the field's fit; 0 where none is fitted"),
        "variation": _v("every row", "1", "weight of the total variation that held-out views chose"),
        "views_used": _v("every", "1", "views in use, those that only stop a method included"),
        "rotation_axis": _v("", "1", "detector column of the rotation axis, counted from 0"),
        "field_weights": _v("every row weight", "1", "weights of the field, described by the attribute `field`"),
    },
}

WHERE: dict[str, str] = {
    "setup": "magis/{run}/setup.nc",
    "sensor": "magis/{run}/sensor/{calibration}.nc",
    "electrons": "magis/{run}/electrons/{block}.nc",
    "geometry": "magis/{run}/geometry.nc",
    "density": "magis/{run}/density/{block}.nc",
    "surface": "magis/{run}/surface/{block}.nc",
    "phase": "magis/{run}/phase.nc",
    "gradiometer": "magis/{run}/gradiometer.nc",
    "optical_density": "magis/{run}/optical_density.nc",
    "library": "dune/{detector}/library.nc",
    "visibility": "dune/{detector}/visibility.nc",
    "calibration": "dune/{detector}/calibration.nc",
    "flashes": "dune/{detector}/flashes.nc",
    "material": "design/{study}/material/{seed}.nc",
    "design": "design/{study}/design.nc",
    "toy": "design/{study}/toy.nc",
    "tomogram": "gallery/{name}/tomogram.nc",
}


def reference_page() -> str:
    """The products as a Markdown page."""
    lines = ["# Products", "", "Printed from `fieldfit.contract`; do not edit: `uv run python -m fieldfit.contract`.", ""]
    for kind, variables in PRODUCTS.items():
        lines += [f"## {kind}: `results/{WHERE[kind]}`", "", "| variable | dimensions | units | meaning |", "|---|---|---|---|"]
        for name, v in variables.items():
            units = ", ".join(f"{f.value} {f.name}" for f in v.flags) if v.flags else ("text" if v.text else v.units)
            lines.append(f"| {name}{'' if v.required else ' (optional)'} | {v.dims} | {units} | {v.meaning} |")
        lines.append("")
    lines += [
        "## Dimensions",
        "",
        "A dimension with text labels counts 0, 1, ... in the file and has its labels in `{name}_label` (CF wants numbers in a coordinate).",
        "",
        "| name | units | meaning |",
        "|---|---|---|",
    ]
    lines += [f"| {name} | {'text' if v.text else v.units} | {v.meaning} |" for name, v in COORDINATES.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path("docs/products.md").write_text(reference_page())
