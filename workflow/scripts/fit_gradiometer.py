from pathlib import Path

from fieldfit.steps.fit_gradiometer import fit_gradiometer
from fieldfit.steps.runner import step

with step(snakemake, "magis") as job:
    fit_gradiometer(Path(job.input[0]), job.output, job.entry)
