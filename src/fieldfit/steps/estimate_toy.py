"""Gradient estimators of the published toy: estimate, scan, write."""

from pathlib import Path

import numpy as np

from fieldfit.config.design import Toy
from fieldfit.experiments.design.toy import ESTIMATORS, gradients, scan
from fieldfit.io.products import product, write_product


def estimate_toy(output: Path, entry: Toy) -> None:
    """Mean, spread and standard error of each estimator at `threshold`, and the loss along the scan."""
    seed = entry.seeds[0]
    estimates = gradients(entry.threshold, entry.events, np.random.default_rng([seed, 1]), entry.numeric_step)
    losses, errors = scan(entry.scan, entry.events, np.random.default_rng([seed, 2]))
    dataset = product(
        "toy",
        {
            "gradient": estimates.mean[:, None],
            "gradient_std": estimates.spread[:, None],
            "gradient_error": estimates.error[:, None],
            "scan_threshold": np.array(entry.scan),
            "scan_loss": losses,
            "scan_loss_std": errors,
        },
        {"estimator": list(ESTIMATORS), "parameter": ["threshold"]},
        threshold=str(entry.threshold),
        numeric_step=str(entry.numeric_step),
        events=str(entry.events),
    )
    write_product(dataset, Path(output), [], entry.model_dump(mode="json"), "Gradient estimators of the published toy", "estimate_toy", seed)
