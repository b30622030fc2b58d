from pathlib import Path

from fieldfit.steps.runner import step
from fieldfit.steps.simulate_triplets import simulate_triplets

with step(snakemake, "magis") as job:
    simulate_triplets(Path(snakemake.output[0]), Path(snakemake.output[1]), job.entry)
