"""Products of the detector studies."""

from fieldfit.contract.variable import Variable, number

DESIGN: dict[str, dict[str, Variable]] = {
    "material": {  # one seed of a study
        "material": number("seed y x", "1", "share of full density"),
        "loss": number("seed step", "1", "estimated loss at each step"),
        "field_weights": number("seed weight", "1", "weights of the field, described by the attribute `field`"),
    },
    "design": {
        "material": number("seed y x", "1", "share of full density"),
        "loss": number("seed step", "1", "estimated loss at each step"),
        "evaluation_loss": number("seed candidate", "1", "loss on held-out seeds, the same showers for each candidate"),
        "evaluation_loss_std": number("seed candidate", "1", "standard error of evaluation_loss"),
        "difference_to_ring": number("seed candidate", "1", "evaluation_loss less that of the best ring, shower by shower"),
        "difference_to_ring_std": number("seed candidate", "1", "standard error of difference_to_ring"),
        "check_loss": number("seed candidate", "1", "loss by an independent simulation (delta tracking)"),
        "check_loss_std": number("seed candidate", "1", "standard error of check_loss"),
        "ring_inner": number("seed", "1", "inner radius of the best ring, in the study's length unit"),
        "ring_outer": number("seed", "1", "outer radius of the best ring, in the study's length unit"),
        "ring_centre": number("seed axis", "1", "centre of the best ring, in the study's length unit"),
        "field_weights": number("seed weight", "1", "weights of the field, described by the attribute `field`"),
    },
    "toy": {
        "gradient": number("estimator parameter", "1", "mean gradient of the loss an event"),
        "gradient_std": number("estimator parameter", "1", "spread of the gradient over events"),
        "gradient_error": number("estimator parameter", "1", "standard error of gradient"),
        "scan_threshold": number("scan", "1", "parameter of the scan"),
        "scan_loss": number("scan", "1", "loss at the parameter"),
        "scan_loss_std": number("scan", "1", "standard error of scan_loss"),
    },
}
