from pathlib import Path

from fieldfit.steps.runner import step
from fieldfit.steps.simulate_shots import simulate_shots

with step(snakemake, "magis") as job:
    simulate_shots(Path(snakemake.output[0]), Path(snakemake.output[1]), Path(snakemake.output[2]), job.entry)
