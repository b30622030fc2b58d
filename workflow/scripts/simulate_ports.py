from pathlib import Path

from fieldfit.steps.runner import step
from fieldfit.steps.simulate_ports import simulate_ports

with step(snakemake, "magis") as job:
    simulate_ports(Path(snakemake.output[0]), Path(snakemake.output[1]), job.entry)
