"""Products of MAGIS-100: imaging, pictures, absorption and the gradiometer."""

from enum import IntEnum

from fieldfit.contract.variable import Sign, Variable, flag, maybe, maybe_text, number, text
from fieldfit.types import Status


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


_SHOT = {
    "time": number("shot", "s", "time of the shot since the start of the run, or since 1970 (UTC) where its stamp is a date"),
    "status": flag("shot", Status, "flag of the shot"),
}

MAGIS: dict[str, dict[str, Variable]] = {
    "setup": {
        "view_name": text("view", "name of the view in the camera file"),
        "lens_position": number("view axis", "m", "middle of the lens; of a mirror's view: where the mirror shows it"),
        "look": number("view axis", "1", "optical axis, from the lens to the object"),
        "up": number("view axis", "1", "direction of the rows"),
        "left": number("view axis", "1", "direction of the columns"),
        "sight": number("view axis", "1", "line of sight: from the origin to the middle of the lens's open part"),
        "mirror_position": number("view axis", "m", "middle of the mirror; NaN without one"),
        "mirror_normal": number("view axis", "1", "direction in which the mirror looks; NaN without one"),
        "mirror_radius": number("view", "m", "radius of the mirror; NaN without one"),
        "distance": number("view", "m", "from the origin to the middle of the lens's open part"),
        "pixel_at_object": number("view", "m", "edge of a pixel at the origin"),
        "rows": number("view", "1", "rows of the view's region"),
        "columns": number("view", "1", "columns of the view's region"),
        "depth_of_field": number("view", "m", "depth over which the lens's blur is no wider than a pixel"),
        "out_of_focus": number("view", "m", "depth of the origin behind the plane of focus"),
        "defocus_blur": number("view", "1", "largest rms blur off focus of a place in the reported cube, in pixels"),
        "diffraction_blur": number("view", "1", "the same by diffraction; 0 without a wavelength"),
        "defocus_held": number("view", "1", "1 where the expected images hold the blur off focus"),
        "diffraction_held": number("view", "1", "1 where they hold diffraction"),
        "light_share": number("view", "1", "share of the photons emitted at the origin that pass the lens"),
        "electrons_per_photon": number("view", "1", "photo-electrons for a photon emitted at the origin"),
        "origin": number("view image_axis", "1", "image of the origin in pixels from the region's corner"),
        "cube_footprint": number("view corner image_axis", "1", "images of the corners of the reported cube, in pixels"),
        "cloud_footprint": number("view outline image_axis", "1", "outline of the image of a sphere of two rms sizes of the cloud, in pixels"),
        "cube_share": number("view", "1", "share of the reported cube whose image lies on the region"),
        "cloud_share": number("view", "1", "share of the cloud whose image lies on the region"),
        "cube_inside": flag("view", Sign, "whether the whole reported cube is in the view"),
        "sphere_inside": flag("view", Sign, "whether the sphere inside the reported cube is in the view"),
        "views_of_place": number("x y z", "1", "views whose region holds the place and that see at least half of the origin's light from it"),
        "contrast_seen": number("period polar azimuth", "1", "contrast of the fringe in the view that shows most of it"),
        "phase_std": number("period polar azimuth", "rad", "expected standard deviation of the fringe's phase from all views; pi/sqrt(3): unknown"),
        "views_that_see": number("period polar azimuth", "1", "views that tell the phase to 1/8 rad each by itself; 0: the fringe is not seen"),
        "directions_seen": number("period", "1", "share of all directions whose fringes at least one view sees"),
        "fourier_coverage": number("object_width spatial_frequency", "1", "share of the Fourier shell that the views measure"),
        "fsc_limit": number("object_width spatial_frequency", "1", "largest Fourier shell correlation without a prior, sqrt(fourier_coverage)"),
    },
    "sensor": {
        "dark": number("sensor row column", "count", "frame without light, mean (count: a step of the ADC)"),
        "dark_std": number("sensor row column", "count", "standard error of dark"),
        "dark_variance": number("sensor", "count2", "variance of a pixel without light"),
        "dark_variance_std": number("sensor", "count2", "standard error of dark_variance"),
        "gain": number("sensor", "count", "ADC steps an electron, by photon transfer; NaN without flats"),
        "gain_std": number("sensor", "count", "standard deviation of gain"),
        "read_noise": number("sensor", "1", "noise of a pixel without light in electrons: read-out, dark current and pedestal; NaN without flats"),
        "read_noise_std": number("sensor", "1", "standard deviation of read_noise"),
        "flat": number("sensor row column", "1", "response of a pixel, 1 on average; NaN without flats"),
        "flat_std": number("sensor row column", "1", "standard deviation of flat"),
        "quality": flag("sensor row column", SensorPixel, "what a pixel is good for"),
        "saturation": number("sensor", "count", "value at which the variance has fallen off: the pixels are full; NaN where no flat reached it"),
        "saturation_std": number("sensor", "count", "scatter of the pixels there"),
        "level_mean": maybe("sensor level", "count", "mean of a pair of flats above the dark"),
        "level_variance": maybe("sensor level", "count2", "variance of a pixel at that level, from the difference of the pair"),
        "level_variance_std": maybe("sensor level", "count2", "standard deviation of level_variance"),
        "level_used": Variable("sensor level", "", "whether the level lies on the line that gives the gain", required=False, flags=Sign),
        "valid_from": number("", "s", "time of the run from which the calibration holds"),
        "valid_until": number("", "s", "time of the run until before which it holds"),
    },
    "electrons": {
        "electrons": number("shot view row column", "1", "photo-electrons above the pedestal"),
        "variance": number("shot view row column", "1", "variance of a pixel's electrons; infinite where a pixel is bad, or was hit by a cosmic ray"),
        "pedestal": number("view", "1", "mean of the Poisson pedestal in electrons a pixel; of a calibrated sensor: with its noise without light"),
        "hit_pixels": maybe("shot", "1", "pixels that cosmic rays hit: their electrons are the median of their surroundings"),
        "auxiliary_value": maybe("shot auxiliary", "1", "auxiliary channels in the units of auxiliary_units, as the shot files have them"),
        "auxiliary_units": maybe_text("auxiliary", "units of the channel"),
        **_SHOT,
    },
    "geometry": {
        "correction": number(
            "view degree", "1", "how a view differs from the camera file, in the units of degree_units, along its own axes; NaN: it has none"
        ),
        "correction_std": number("view degree", "1", "standard deviation of correction, the gauge's freedom included"),
        "correction_prior": number("view degree", "1", "standard deviation of correction before anything was seen"),
        "degree_units": text("degree", "units of the correction"),
        "lens_position": number("view axis", "m", "centre of the refined lens; of a mirror's view: of the reflected camera"),
        "look": number("view axis", "1", "line of sight of the refined view"),
        "left": number("view axis", "1", "direction of its columns"),
        "up": number("view axis", "1", "direction of its rows"),
        "focal_length": number("view", "m", "refined focal length"),
        "magnification": number("view", "1", "refined magnification in the plane of focus"),
        "mirror_centre": number("view axis", "m", "centre of the refined mirror; NaN for a straight view"),
        "mirror_normal": number("view axis", "1", "normal of the refined mirror; NaN for a straight view"),
        "image_shift": number("view image_axis", "1", "how far the correction moves the image of the world's origin [camera pixels]"),
        "image_shift_std": number("view image_axis", "1", "standard deviation of image_shift, the gauge's freedom included"),
        "chi2_before": number("view", "1", "chi-square a pixel (a coordinate of a target) with the camera file"),
        "chi2_after": number("view", "1", "the same with the refined cameras"),
        "residual_before": maybe(
            "view row column", "1", "residuals of all used shots together with the camera file, in standard deviations of a binned pixel"
        ),
        "residual_after": maybe("view row column", "1", "the same with the refined cameras"),
        "shift_before": maybe(
            "shot view image_axis", "1", "shift of the view's image from where the other views put the cloud, camera file [camera pixels]"
        ),
        "shift_before_std": maybe("shot view image_axis", "1", "standard deviation of shift_before"),
        "shift_after": maybe("shot view image_axis", "1", "the same with the refined cameras"),
        "shift_after_std": maybe("shot view image_axis", "1", "standard deviation of shift_after"),
        "used": Variable("shot", "", "whether the shot was used", required=False, flags=Sign),
        "sightings": maybe("view", "1", "sightings of a target's points"),
        "reprojection_before": number("view", "1", "rms shift that single shots, or sightings, ask for with the camera file [camera pixels]"),
        "reprojection_after": number("view", "1", "the same with the refined cameras"),
    },
    "density": {
        "density": number("shot x y z", "m-3", "number density of atoms, voxel means"),
        "density_std": number("shot x y z", "m-3", "standard deviation of density"),
        "chi2_reduced": number("shot", "1", "chi-square of the views per degree of freedom"),
        "resolution_split_half": number("shot", "m", "resolution where two halves of the photons agree (FSC 0.143)"),
        "resolution_above_plateau": maybe("shot", "m", "resolution where two halves agree beyond what their common atoms make them"),
        "split_half_plateau": maybe("shot", "1", "correlation of the halves' noise because they share the atoms"),
        "split_half_correlation": maybe("shot spatial_frequency", "1", "Fourier shell correlation of two halves of the photons"),
        "split_half_correlation_std": maybe("shot spatial_frequency", "1", "standard deviation of split_half_correlation"),
        "split_half_power": maybe("shot spatial_frequency", "m-6", "power spectrum of one of the halves, mean over the shell"),
        "half_bit": maybe("spatial_frequency", "1", "correlation at which a shell holds half a bit of information"),
        "field_weights": number("shot weight", "1", "weights of the field, described by the attribute `field`"),
        "phase": maybe("shot", "rad", "fringe phase at the world's origin, from the field's fringe"),
        "phase_std": maybe("shot", "rad", "standard deviation of phase"),
        "contrast": maybe("shot", "1", "fringe contrast"),
        "contrast_std": maybe("shot", "1", "standard deviation of contrast"),
        "fringe_period": maybe("shot", "m", "fringe period"),
        "fringe_period_std": maybe("shot", "m", "standard deviation of fringe_period"),
        "fringe_wave_vector": maybe("shot axis", "m-1", "wave vector of the fringe"),
        "atom_number": maybe("shot", "1", "atoms in the cloud"),
        "atom_number_std": maybe("shot", "1", "standard deviation of atom_number"),
        "position": maybe("shot axis", "m", "centre of the cloud's envelope"),
        "position_std": maybe("shot axis", "m", "standard deviation of position"),
        "size": maybe("shot axis", "m", "rms size of the cloud's envelope"),
        "size_std": maybe("shot axis", "m", "standard deviation of size"),
        "wavefront": maybe("shot coefficient", "rad", "Zernike coefficients of the fringe phase across the cloud"),
        "wavefront_std": maybe("shot coefficient", "rad", "standard deviation of wavefront"),
        "view_shift": maybe("shot view image_axis", "1", "shift of the view's image, in camera pixels, from where the other views put the cloud"),
        "view_shift_std": maybe("shot view image_axis", "1", "standard deviation of view_shift"),
        "fringe_power": maybe("shot view", "1", "power of a wave in each view's spectrum, in its noise; 0 where none was found"),
        "least_contrast": maybe("shot", "1", "contrast from which on a fringe is found that a view sees whole; above 1: none"),
        "held_out_deviance": maybe("shot", "1", "deviance of the held-out photons a pixel at the step that was kept"),
        "kept_step": maybe("shot", "1", "optimiser step that the held-out photons kept"),
        **_SHOT,
    },
    "surface": {
        "vertex_position": number("vertex axis", "m", "corner of the surface's triangles; those of a shot follow on those of the shot before"),
        "distance": number("vertex", "m", "distance of the vertex to the drawing, negative inside of it"),
        "triangle_vertex": number("triangle triangle_corner", "1", "index of a vertex, counted over all shots; anticlockwise seen from outside"),
        "vertex_count": number("shot", "1", "vertices of the shot"),
        "triangle_count": number("shot", "1", "triangles of the shot"),
        "level": number("shot", "m-3", "density at which the surface lies"),
        "plateau": number("shot", "m-3", "median density inside"),
        "islands": number("shot", "1", "small pieces that were left out"),
        "rotation": number("shot axis drawing_axis", "1", "of the drawing: position = scale * rotation @ drawing + translation"),
        "translation": number("shot axis", "m", "of the middle of the drawing's box"),
        "scale": number("shot", "1", "of the drawing; 1 where it is not fitted"),
        "registration_rms": number("shot", "m", "rms distance of the nearest 95 % of points of the surface after the registration"),
        "distance_rms": number("shot", "m", "rms of distance over the surface"),
        "distance_mean": number("shot", "m", "mean of distance over the surface: positive where the surface is too large"),
        "distance_median": number("shot", "m", "median of |distance| over the surface"),
        "distance_95": number("shot", "m", "95 % quantile of |distance| over the surface"),
        "drawing_distance_rms": number("shot", "m", "rms of drawing_distance"),
        "drawing_distance_median": number("shot", "m", "median of |drawing_distance|"),
        "drawing_distance_95": number("shot", "m", "95 % quantile of |drawing_distance|"),
        "volume_ratio": number("shot", "1", "volume inside the surface over that of the drawing at its scale"),
        "drawing_point": number("drawing_sample drawing_axis", "m", "points spread evenly over the drawing, from the middle of its box"),
        "drawing_distance": number("shot drawing_sample", "m", "distance of the drawing's points to the surface, negative inside of it"),
        "drawing_triangle": number(
            "drawing_face triangle_corner drawing_axis", "m", "corners of the drawing's triangles, from the middle of its box"
        ),
        **_SHOT,
    },
    "phase": {
        "phase": number("shot", "rad", "fringe phase"),
        "phase_std": number("shot", "rad", "standard deviation of phase"),
        "contrast": number("shot", "1", "fringe contrast"),
        "contrast_std": number("shot", "1", "standard deviation of contrast"),
        "fringe_period": number("shot", "m", "fringe period"),
        "fringe_period_std": number("shot", "m", "standard deviation of fringe_period"),
        "atom_number": number("shot", "1", "atoms in the cloud"),
        "atom_number_std": number("shot", "1", "standard deviation of atom_number"),
        "position": number("shot axis", "m", "centre of the cloud's envelope"),
        "position_std": number("shot axis", "m", "standard deviation of position"),
        "size": number("shot axis", "m", "rms size of the cloud's envelope"),
        "size_std": number("shot axis", "m", "standard deviation of size"),
        "chi2_reduced": maybe("shot", "1", "chi-square per degree of freedom"),
        "resolution": maybe("shot", "m", "resolution of the density where two halves of the photons agree (FSC 0.143)"),
        "tilt": maybe("shot", "rad", "angle of the fringe's wave vector to the picture's rows axis"),
        "tilt_std": maybe("shot", "rad", "standard deviation of tilt"),
        "electrons": maybe("shot", "1", "photo-electrons of the cloud in the picture, without its fringe"),
        "electrons_std": maybe("shot", "1", "standard deviation of electrons"),
        "wavefront": number("shot coefficient", "rad", "Zernike coefficients of the fringe phase across the cloud"),
        "wavefront_std": number("shot coefficient", "rad", "standard deviation of wavefront"),
        **_SHOT,
    },
    "gradiometer": {
        "differential_phase": number("pair shot", "rad", "phi_b - phi_a from this shot alone"),
        "differential_phase_std": number("pair shot", "rad", "standard deviation of differential_phase"),
        "differential_phase_corrected": number("pair shot", "rad", "differential_phase less the couplings of position and intensity"),
        "interferometer_a": number("pair", "1", "index of interferometer a"),
        "interferometer_b": number("pair", "1", "index of interferometer b"),
        "offset": number("pair", "rad", "static differential phase"),
        "offset_std": number("pair", "rad", "standard deviation of offset"),
        "contrast": number("shot interferometer", "1", "fringe contrast, slowly varying"),
        "atom_number": maybe("shot", "1", "atoms in both ports, mean over the interferometers"),
        "position": maybe("shot axis", "m", "place of the cloud by the file's auxiliary channel"),
        "coupling_value": number("pair coupling", "rad", "phase for one standard deviation of the auxiliary quantity"),
        "coupling_std": number("pair coupling", "rad", "standard deviation of coupling_value"),
        "chi2_reduced": number("pair", "1", "chi-square of the corrected series per degree of freedom"),
        "spectrum_frequency": number("density_frequency", "Hz", "frequency of the amplitude density"),
        "spectrum": number("pair density_frequency", "rad Hz-0.5", "one-sided amplitude density of the corrected series"),
        "averaging_time": number("averaging", "s", "averaging time of the Allan deviation"),
        "allan_deviation": number("pair averaging", "rad", "overlapping Allan deviation of the corrected series"),
        "allan_deviation_std": number("pair averaging", "rad", "standard deviation of allan_deviation"),
        "signal_frequency": number("frequency", "Hz", "frequency of the periodogram"),
        "signal_amplitude": number("pair frequency", "rad", "amplitude of a sine in the corrected series, weighted least squares over gaps"),
        "signal_amplitude_std": number("pair frequency", "rad", "standard deviation of signal_amplitude"),
        "budget_value": number("budget", "1", "measured value in the units of budget_units"),
        "budget_std": number("budget", "1", "standard deviation of budget_value"),
        "budget_target": number("budget", "1", "target in the units of budget_units"),
        "budget_units": text("budget", "units of the row"),
        "budget_status": flag("budget", BudgetStatus, "verdict of the row"),
        **_SHOT,
    },
    "optical_density": {
        "optical_density": number(
            "shot row column", "1", "-ln of the transmission, against the shot's eigen-background; NaN where the probe is dark"
        ),
        "optical_density_std": number("shot row column", "1", "standard deviation of optical_density"),
        "optical_density_raw": number("shot row column", "1", "-ln((image - background)/(probe - background)) of the shot's own three frames"),
        "column_density": maybe("shot row column", "m-2", "atoms per area; only where the cross section is known"),
        "pixel_use": flag("row column", PixelUse, "what a pixel was used for"),
        "optical_density_sum": number("shot", "1", "sum of the optical density over the atoms' region, with the saturation term where asked for"),
        "optical_density_sum_std": number("shot", "1", "standard deviation of optical_density_sum"),
        "atom_number": number("shot", "1", "atoms in the region; NaN without pixel size or cross section"),
        "atom_number_std": number("shot", "1", "standard deviation of atom_number"),
        "centre": number(
            "shot image_axis", "1", "centre of the atoms in pixels, by moments in the region; NaN without atoms at 5 standard deviations"
        ),
        "centre_std": number("shot image_axis", "1", "standard deviation of centre"),
        "width": number("shot image_axis", "1", "rms width of the atoms in pixels, by moments in the region"),
        "width_std": number("shot image_axis", "1", "standard deviation of width"),
        "position": number("shot image_axis", "m", "centre less the picture's middle, times the pixel; NaN without pixel size"),
        "position_std": number("shot image_axis", "m", "standard deviation of position"),
        "size": number("shot image_axis", "m", "width times the pixel; NaN without pixel size"),
        "size_std": number("shot image_axis", "m", "standard deviation of size"),
        "background_rms_raw": number("shot", "1", "rms optical density of held-out pixels without atoms, own probe"),
        "background_rms_scaled": number("shot", "1", "the same with the own probe scaled to the image's light"),
        "background_rms": number("shot", "1", "the same with the eigen-background"),
        "background_floor_raw": number("shot", "1", "what photon and read noise alone make of background_rms_scaled"),
        "background_floor": number("shot", "1", "what photon and read noise alone make of background_rms"),
        "structure_std": number("shot", "1", "rms optical density of the fringes that are left, from background_rms beyond its floor"),
        "components": number("shot", "1", "eigen-images in the shot's background"),
        "opaque_pixels": number("shot", "1", "pixels in the region that let no light through: their optical density is a lower limit"),
        "held_out_chi2": number("component", "1", "mean square of held-out residuals over the image's noise, for 1, 2, ... eigen-images"),
        **_SHOT,
    },
    "catalogue": {
        "path": text("shot", "file or folder of the shot; of one that is there more than once all of them, parted by semicolons"),
        "row": number("shot", "1", "row in a file of many shots; -1: the file is the shot's own"),
        "bytes": number("shot", "byte", "size of its files; of a row: its share of the file"),
        **_SHOT,
    },
}
