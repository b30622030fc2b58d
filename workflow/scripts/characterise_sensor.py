from pathlib import Path

from fieldfit.steps.characterise_sensor import characterise_sensor
from fieldfit.steps.runner import step

with step(snakemake, "magis") as job:
    characterise_sensor(Path(job.input.cameras), job.output, job.entry, job.wildcards.calibration)
