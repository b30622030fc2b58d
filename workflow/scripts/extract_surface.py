from pathlib import Path

from fieldfit.steps.extract_surface import extract_surface
from fieldfit.steps.runner import step

with step(snakemake, "magis") as job:
    extract_surface(Path(job.input.density), Path(job.input.cad), job.output, job.entry)
