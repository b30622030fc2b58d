"""All seeds of a study beside the reference designs, on held-out showers: gather, evaluate, write."""

from pathlib import Path

import numpy as np

from fieldfit.bridge import describe, field_of
from fieldfit.config.design import Shower
from fieldfit.config.load import load_study
from fieldfit.experiments.design.reference import CANDIDATES, best_ring, candidates, evaluate, mass_of
from fieldfit.fields.fourier import FourierMaterial, joined
from fieldfit.io.products import open_product, product, write_product
from fieldfit.simulate.showers import deposits
from fieldfit.types import InputError

# Streams of random numbers: 1 is the fit's own.
_EVALUATION, _RING, _CHECK = 2, 3, 4


def evaluate_design(materials: list[Path], output: Path, entry: Shower) -> None:
    """Merge the seeds' layouts and evaluate field, binarised form, best ring and filled region; an independent simulation repeats the losses.

    Raises InputError when a layout is no material product or has another raster than the first.
    """
    study = load_study(entry)
    products = [open_product(Path(path), "material") for path in materials]
    fields = [field_of(dataset, Path(path)) for dataset, path in zip(products, materials, strict=True)]
    rasters = [dataset.material.values[0].astype(float) for dataset in products]
    for path, raster in zip(materials, rasters, strict=True):
        if raster.shape != rasters[0].shape:
            raise InputError(f"{path}: a raster of {raster.shape[0]} cells, expected {rasters[0].shape[0]} as in {materials[0]}")
    seeds = [int(dataset.seed.values[0]) for dataset in products]
    ring = best_ring(study, rasters[0].shape[0], np.random.default_rng([seeds[0], _RING]))
    primaries = entry.fit.evaluation_primaries
    evaluations, checks = [], []
    for seed, raster in zip(seeds, rasters, strict=True):
        layouts = candidates(study, raster, ring)
        evaluations.append(evaluate(study, layouts, primaries, np.random.default_rng([seed, _EVALUATION])))
        shares = np.stack([deposits(study, layout, primaries, np.random.default_rng([seed, _CHECK])) for layout in layouts])
        mass = np.array([study.mass_weight * mass_of(study, layout) for layout in layouts])
        checks.append((1 - shares.mean(1) + mass, shares.std(1, ddof=1) / np.sqrt(primaries)))
    weights, description = describe(joined([field for field in fields if isinstance(field, FourierMaterial)]))
    count = len(seeds)
    dataset = product(
        "design",
        {
            "material": np.stack(rasters).astype(np.float32),
            "loss": np.concatenate([dataset.loss.values for dataset in products]),
            "evaluation_loss": np.stack([e.loss for e in evaluations]),
            "evaluation_loss_std": np.stack([e.std for e in evaluations]),
            "difference_to_ring": np.stack([e.difference for e in evaluations]),
            "difference_to_ring_std": np.stack([e.difference_std for e in evaluations]),
            "check_loss": np.stack([loss for loss, _ in checks]),
            "check_loss_std": np.stack([std for _, std in checks]),
            "ring_inner": np.full(count, ring.inner),
            "ring_outer": np.full(count, ring.outer),
            "ring_centre": np.tile(ring.centre, (count, 1)),
            "field_weights": weights,
        },
        {"seed": seeds, "candidate": list(CANDIDATES), "axis": ["x", "y"], "x": products[0].x.values, "y": products[0].y.values},
        field=description,
        study=study.model_dump_json(),
        length_unit="the study's own",
    )
    inputs = [Path(path) for path in materials] + ([entry.study] if isinstance(entry.study, Path) else [])
    write_product(
        dataset, Path(output), inputs, entry.model_dump(mode="json"), "Detector design against reference layouts", "evaluate_design", seeds[0]
    )
