"""Products of the gallery: the same equation elsewhere."""

from fieldfit.contract.variable import Variable, number

GALLERY: dict[str, dict[str, Variable]] = {
    "tomogram": {  # lengths in pixels, units 1, where the pixel is not given
        "attenuation": number("method every row y x", "m-1", "linear attenuation coefficient at the voxels' centres, around the rotation axis"),
        "held_out_chi2": number("method every row", "1", "chi-square a ray of the views that no method saw, in the noise of their photons"),
        "held_out_chi2_object": number("method every row", "1", "the same of the rays through the object"),
        "relative_to_fbp": number(
            "method every row", "1", "relative L2 distance to filtered back-projection of the most views: a reference, not truth"
        ),
        "relative_to_sirt": number("method every row", "1", "relative L2 distance to SIRT of the most views: a reference, not truth"),
        "kept_step": number("method every row", "1", "step at which held-out views stopped the method; 0 where there are none"),
        "duration": number("method every", "s", "time that the method took for all rows; the field's starts from SIRT's answer"),
        "fringe": number("every row", "m2", "strength of the propagation fringe in the field's fit; 0 where none is fitted"),
        "variation": number("every row", "1", "weight of the total variation that held-out views chose"),
        "views_used": number("every", "1", "views in use, those that only stop a method included"),
        "rotation_axis": number("", "1", "detector column of the rotation axis, counted from 0"),
        "field_weights": number("every row weight", "1", "weights of the field, described by the attribute `field`"),
    },
}
