from pathlib import Path

from fieldfit.steps.runner import step
from fieldfit.steps.simulate_pictures import simulate_pictures

with step(snakemake, "magis") as job:
    simulate_pictures(Path(snakemake.output[0]), Path(snakemake.output[1]), job.entry)
