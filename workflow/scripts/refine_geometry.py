from pathlib import Path

from fieldfit.steps.refine_geometry import refine_geometry
from fieldfit.steps.runner import step

with step(snakemake, "magis") as job:
    refine_geometry([Path(path) for path in job.input.electrons], Path(job.input.cameras), job.output, job.entry)
