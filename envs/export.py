"""Write the environment files from the lock: `uv run python envs/export.py`. A test holds them in step.

gpu: what the lock installs, with CUDA. cpu: the same versions without CUDA packages; pip takes the CPU build of torch (+cpu) from its index.
"""

import os
import re
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
CUDA = re.compile(r"^(nvidia|cuda|triton)[-=a-z0-9]*")
CONDA = """name: fieldfit-{kind}
channels: [conda-forge]
dependencies:
  - python=3.11
  - pip
  - pip:
      - -r requirements-{kind}.txt
      - -e ..
"""
# Build in the checkout: docker build -f envs/Dockerfile -t fieldfit .    (or podman; --build-arg KIND=cpu leaves CUDA out)
DOCKER = """FROM python:3.11-slim
ARG KIND=gpu
RUN apt-get update && apt-get install -y --no-install-recommends git && rm -rf /var/lib/apt/lists/*
COPY . /opt/fieldfit
RUN pip install --no-cache-dir -r /opt/fieldfit/envs/requirements-$KIND.txt \\
 && pip install --no-cache-dir --no-deps -e /opt/fieldfit && git config --system --add safe.directory /opt/fieldfit
# The raw files and the results are the working folder's: docker run -v "$PWD:/data" fieldfit --cores all --configfile mine.yaml
WORKDIR /data
ENTRYPOINT ["snakemake", "--snakefile", "/opt/fieldfit/Snakefile"]
"""
# Build in the checkout: apptainer build fieldfit.sif envs/fieldfit.def; then: apptainer run [--nv] fieldfit.sif --cores all --configfile mine.yaml
APPTAINER = """Bootstrap: docker
From: python:3.11-slim

%files
    . /opt/fieldfit

%post
    apt-get update && apt-get install -y --no-install-recommends git && rm -rf /var/lib/apt/lists/*
    pip install --no-cache-dir -r /opt/fieldfit/envs/requirements-gpu.txt
    pip install --no-cache-dir --no-deps -e /opt/fieldfit
    git config --system --add safe.directory /opt/fieldfit

%runscript
    exec snakemake --snakefile /opt/fieldfit/Snakefile "$@"
"""
NOTE = "# Printed from uv.lock; do not edit: uv run python envs/export.py\n"


def locked() -> list[str]:
    """One pinned requirement a line, without the project itself and without development tools."""
    command = [os.environ.get("UV", "uv"), "export", "--frozen", "--no-dev", "--no-hashes", "--no-emit-project", "--no-annotate", "--no-header", "-q"]
    text = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True, check=True).stdout
    return [line for line in text.splitlines() if line.strip()]


def files() -> dict[str, str]:
    """Name -> text of every environment file."""
    gpu = locked()
    cpu = [line for line in gpu if not CUDA.match(line)]
    return {
        "requirements-gpu.txt": NOTE + "\n".join(gpu) + "\n",
        "requirements-cpu.txt": NOTE + "--extra-index-url https://download.pytorch.org/whl/cpu\n" + "\n".join(cpu) + "\n",
        "gpu.yaml": NOTE + CONDA.format(kind="gpu"),
        "cpu.yaml": NOTE + CONDA.format(kind="cpu"),
        "Dockerfile": NOTE + DOCKER,
        "fieldfit.def": NOTE + APPTAINER,
    }


if __name__ == "__main__":
    for name, text in files().items():
        (HERE / name).write_text(text)
