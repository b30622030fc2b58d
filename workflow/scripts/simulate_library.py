from pathlib import Path

from fieldfit.steps.runner import step
from fieldfit.steps.simulate_library import simulate_library

with step(snakemake, "dune") as job:
    simulate_library(job.entry, Path(snakemake.output.truth))
