from pathlib import Path

from fieldfit.steps.read_library import read_library
from fieldfit.steps.runner import step

with step(snakemake, "dune") as job:
    read_library(Path(job.input.library), job.entry.channels, job.output, job.entry)
