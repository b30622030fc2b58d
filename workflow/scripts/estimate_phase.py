from pathlib import Path

from fieldfit.steps.estimate_phase import estimate_phase
from fieldfit.steps.runner import step

with step(snakemake, "magis") as job:
    estimate_phase([Path(path) for path in job.input], job.output, job.entry)
