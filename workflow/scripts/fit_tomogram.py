from pathlib import Path

from fieldfit.steps.fit_tomogram import fit_tomogram
from fieldfit.steps.runner import step

with step(snakemake, "gallery") as job:
    fit_tomogram(Path(job.input[0]), job.output, job.entry)
