from pathlib import Path

from fieldfit.steps.runner import step
from fieldfit.steps.simulate_tomography import simulate_tomography

with step(snakemake, "gallery") as job:
    simulate_tomography(Path(snakemake.output[0]), Path(snakemake.output[1]), job.entry)
