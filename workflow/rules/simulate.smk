"""Raw files of a known truth for the entries with a `simulate:` key, in the formats that the readers read. A rule an entry: its paths are the user's own."""

for run, entry in plan.imaging.items():
    if entry.simulate:

        rule:
            name:
                f"simulate_shots_{run}"
            input:
                [str(entry.simulate.mesh)] if entry.simulate.mesh else [],
            output:
                directory(str(entry.raw)),
                str(entry.cameras),
                str(entry.cameras.with_suffix(".truth.json")),
                [directory(str(entry.cameras.with_suffix(".truth")))] if entry.simulate.truth_density else [],
            log:
                f"logs/magis/{run}/simulate_shots.log",
            benchmark:
                f"logs/magis/{run}/simulate_shots.tsv"
            threads: 1
            resources:
                mem_mb=2000,
                runtime=20,
            params:
                entry=params_of("magis", run),
                code=code_hash("fieldfit.steps.simulate_shots"),
            script:
                "../scripts/simulate_shots.py"


def simulated_frames(run, name):
    """Folders of dark and flat frames that a rule makes."""
    entry = plan.imaging[run]
    own = entry.calibrations[name]
    return [str(path) for path in (own.dark, own.flat) if path] if entry.simulate and entry.simulate.sensor else []


for run, entry in plan.imaging.items():
    for name in entry.calibrations:
        if simulated_frames(run, name):

            rule:
                name:
                    f"simulate_calibration_{run}_{name}"
                output:
                    [directory(path) for path in simulated_frames(run, name)],
                log:
                    f"logs/magis/{run}/simulate_calibration/{name}.log",
                benchmark:
                    f"logs/magis/{run}/simulate_calibration/{name}.tsv"
                threads: 1
                resources:
                    mem_mb=2000,
                    runtime=20,
                params:
                    entry=params_of("magis", run, [name]),
                    calibration=name,
                    code=code_hash("fieldfit.steps.simulate_calibration"),
                script:
                    "../scripts/simulate_calibration.py"


for run, entry in plan.ports.items():
    if entry.simulate:

        rule:
            name:
                f"simulate_ports_{run}"
            output:
                str(entry.raw),
                str(entry.raw.with_suffix(".truth.json")),
            log:
                f"logs/magis/{run}/simulate_ports.log",
            benchmark:
                f"logs/magis/{run}/simulate_ports.tsv"
            threads: 1
            resources:
                mem_mb=2000,
                runtime=20,
            params:
                entry=params_of("magis", run),
                code=code_hash("fieldfit.steps.simulate_ports"),
            script:
                "../scripts/simulate_ports.py"


for run, entry in plan.pictures.items():
    if entry.simulate:

        rule:
            name:
                f"simulate_pictures_{run}"
            output:
                str(entry.raw),
                str(entry.raw.with_suffix(".truth.json")),
            log:
                f"logs/magis/{run}/simulate_pictures.log",
            benchmark:
                f"logs/magis/{run}/simulate_pictures.tsv"
            threads: 1
            resources:
                mem_mb=2000,
                runtime=20,
            params:
                entry=params_of("magis", run),
                code=code_hash("fieldfit.steps.simulate_pictures"),
            script:
                "../scripts/simulate_pictures.py"


for run, entry in plan.absorption.items():
    if entry.simulate:

        rule:
            name:
                f"simulate_triplets_{run}"
            output:
                directory(str(entry.raw)),
                str(entry.raw.with_suffix(".truth.json")),
            log:
                f"logs/magis/{run}/simulate_triplets.log",
            benchmark:
                f"logs/magis/{run}/simulate_triplets.tsv"
            threads: 1
            resources:
                mem_mb=2000,
                runtime=20,
            params:
                entry=params_of("magis", run),
                code=code_hash("fieldfit.steps.simulate_triplets"),
            script:
                "../scripts/simulate_triplets.py"


for detector, entry in plan.libraries.items():
    if entry.simulate:

        rule:
            name:
                f"simulate_library_{detector}"
            output:
                **({"tracks": str(entry.tracks)} if entry.tracks else {}),
                **({"flashes": str(entry.flashes)} if entry.flashes else {}),
                library=str(entry.library),
                channels=str(entry.channels),
                truth=str(entry.library.with_suffix(".truth.json")),
            log:
                f"logs/dune/{detector}/simulate_library.log",
            benchmark:
                f"logs/dune/{detector}/simulate_library.tsv"
            threads: 1
            resources:
                mem_mb=3000,
                runtime=30,
            params:
                entry=params_of("dune", detector),
                code=code_hash("fieldfit.steps.simulate_library"),
            script:
                "../scripts/simulate_library.py"


for name, entry in plan.tomography.items():
    if entry.simulate:

        rule:
            name:
                f"simulate_tomography_{name}"
            output:
                str(entry.raw),
                str(entry.raw.with_suffix(".truth.json")),
            log:
                f"logs/gallery/{name}/simulate_tomography.log",
            benchmark:
                f"logs/gallery/{name}/simulate_tomography.tsv"
            threads: 1
            resources:
                mem_mb=2000,
                runtime=20,
            params:
                entry=params_of("gallery", name),
                code=code_hash("fieldfit.steps.simulate_tomography"),
            script:
                "../scripts/simulate_tomography.py"
