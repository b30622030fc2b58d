"""Products of DUNE: libraries, their visibility, its calibration and flashes."""

from fieldfit.contract.variable import Sign, Variable, flag, maybe, number
from fieldfit.types import FlashStatus, VoxelQuality

DUNE: dict[str, dict[str, Variable]] = {
    "library": {
        "visibility": number("channel x y z", "1", "share of the photons made in a voxel that reach a channel, as read"),
        "counting_std": number("channel x y z", "1", "standard deviation of visibility by counting statistics"),
        "quality_mask": flag("channel x y z", VoxelQuality, "flag of the value"),
        "channel_position": number("channel axis", "m", "centre of the sensor"),
        "channel_normal": number("channel axis", "1", "direction in which the sensor looks"),
        "channel_radius": number("channel", "m", "radius of the sensor"),
        "photons_made": maybe("x y z", "1", "photons made in each voxel, where the file counts them"),
        "arrival": maybe("timing channel x y z", "ns", "arrival times as read (key times); NaN where no photon arrived"),
    },
    "visibility": {
        "visibility": number("channel x y z", "1", "fitted visibility at the voxels' centres"),
        "visibility_std": number("channel x y z", "1", "standard deviation of the fitted visibility"),
        "library_visibility": number("channel x y z", "1", "the library as read; masked voxels filled from neighbours"),
        "counting_std": number("channel x y z", "1", "standard deviation of library_visibility by counting statistics"),
        "quality_mask": flag("channel x y z", VoxelQuality, "flag of library_visibility"),
        "channel_position": number("channel axis", "m", "centre of the sensor"),
        "channel_normal": number("channel axis", "1", "direction in which the sensor looks"),
        "channel_radius": number("channel", "m", "radius of the sensor"),
        "relative_error": number("method decade", "1", "mean 2|p-v|/(p+v) against held-out library voxels, counting noise included"),
        "bias": number("method decade", "1", "sum(p)/sum(v) - 1 on held-out library voxels"),
        "loss": number("step", "1", "mean deviance a step"),
        "field_weights": number("weight", "1", "weights of the field, described by the attribute `field`"),
        "arrival": maybe("timing channel x y z", "ns", "fitted arrival times at the voxels' centres (key times)"),
        "arrival_std": maybe("timing channel x y z", "ns", "standard deviation of the fitted arrival times"),
        "arrival_field_weights": maybe("arrival_weight", "1", "weights of the arrival times' field, described by the attribute `arrival_field`"),
    },
    "calibration": {
        "efficiency": number(
            "channel", "1", "detected photo-electrons per photon that reaches the channel, mean of the runs by light; 0 for a dead one"
        ),
        "efficiency_std": number("channel", "1", "standard deviation of efficiency, up to one factor common to all channels (attribute `gauge`)"),
        "efficiency_run": number("run channel", "1", "efficiency in each run"),
        "efficiency_run_std": number("run channel", "1", "standard deviation of efficiency_run"),
        "saturation_pe": number("channel", "1", "photo-electrons that a reading cannot exceed; NaN for a channel that does not saturate"),
        "visibility_calibrated": number("channel x y z", "1", "detected photo-electrons per photon made"),
        "visibility_calibrated_std": number("channel x y z", "1", "standard deviation of visibility_calibrated, the simulation's own error in it"),
        "track_pe_measured": number("track channel", "1", "measured photo-electrons"),
        "track_pe_predicted": number("track channel", "1", "photo-electrons that the calibrated visibility predicts, after saturation"),
        "track_used": flag("track", Sign, "whether the track was fitted"),
        "track_weight": number("track", "1", "chance that the track as a whole is right: its weight in the fit"),
        "track_run": number("track", "1", "number of the track's run"),
        "dead": flag("channel", Sign, "whether the channel is dead"),
        "channel_position": number("channel axis", "m", "centre of the sensor"),
        "field_weights": number("weight", "1", "weights of the field, described by the attribute `field`"),
    },
    "flashes": {
        "position": number("flash axis", "m", "place of the flash"),
        "position_std": number("flash axis", "m", "standard deviation of position"),
        "position_looked_up": number("flash axis", "m", "the most likely voxel of the table"),
        "charge": number("flash", "1", "photons made"),
        "charge_std": number("flash", "1", "standard deviation of charge"),
        "chi2_reduced": number("flash", "1", "chi-square a degree of freedom"),
        "pe_measured": number("flash channel", "1", "measured photo-electrons"),
        "pe_predicted": number("flash channel", "1", "photo-electrons of a flash at that place and of that charge"),
        "status": flag("flash", FlashStatus, "flag of the flash"),
        "channel_position": number("channel axis", "m", "centre of the sensor"),
    },
}
