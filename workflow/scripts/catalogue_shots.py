from pathlib import Path

from fieldfit.steps.catalogue_shots import catalogue_shots
from fieldfit.steps.runner import step

with step(snakemake, "magis") as job:
    catalogue_shots(Path(job.input[0]), job.output, job.entry, job.params.state, dict(job.params.unreadable))
