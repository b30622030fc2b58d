"""The material layout of one seed: optimise, write."""

from pathlib import Path

from fieldfit.bridge import describe
from fieldfit.config.design import Shower
from fieldfit.config.load import load_study
from fieldfit.experiments.design.study import optimise
from fieldfit.forward.shower import cell_centres
from fieldfit.io.products import product, write_product


def optimise_material(output: Path, entry: Shower, seed: int) -> None:
    """Fit the layout of `seed` and write it with its weights and loss trace."""
    study = load_study(entry)
    material = optimise(study, entry.fit, seed, entry.device)
    weights, description = describe(material.field)
    edge = cell_centres(study.radius, entry.fit.cells)
    dataset = product(
        "material",
        {"material": material.values[None], "loss": material.losses[None], "field_weights": weights},
        {"seed": [seed], "x": edge, "y": edge},
        field=description,
        length_unit="the study's own",
    )
    inputs = [entry.study] if isinstance(entry.study, Path) else []
    write_product(dataset, Path(output), inputs, entry.model_dump(mode="json"), f"Material layout, seed {seed}", "optimise_material", seed)
