from pathlib import Path

from fieldfit.steps.fit_density import fit_density
from fieldfit.steps.runner import step

with step(snakemake, "magis") as job:
    geometry = [Path(path) for path in job.input.geometry]
    fit_density(Path(job.input.electrons), Path(job.input.cameras), job.output, job.entry, *geometry)
