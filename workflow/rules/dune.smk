"""DUNE: optical library -> validated Dataset -> visibility field -> calibration on measured tracks -> files for other tools."""


rule read_library:
    """The library as a Dataset, with voxel order, geometry and values checked and its counting uncertainty."""
    input:
        library=lambda w: plan.libraries[w.detector].library,
        channels=lambda w: plan.libraries[w.detector].channels or [],
    output:
        "results/dune/{detector}/library.nc",
    log:
        "logs/dune/{detector}/read_library.log",
    benchmark:
        "logs/dune/{detector}/read_library.tsv"
    wildcard_constraints:
        detector=one_of(plan.libraries),
    threads: 1  # a profile may give it more, or dask_workers and dask_cluster, for a library of hundreds of millions of rows: docs/cluster.md
    resources:
        mem_mb=4000,  # whatever the library's size: a table above 2 GB is a file, and is checked and written channel by channel
        runtime=30,
    params:
        entry=lambda w: params_of("dune", w.detector),
        digest=lambda w: stamp(plan.libraries[w.detector], plan.libraries[w.detector].library, plan.libraries[w.detector].channels),
        code=code_hash("fieldfit.steps.read_library"),
    script:
        "../scripts/read_library.py"


rule fit_visibility:
    """One field for all channels, weighted by counting statistics, with the table and its interpolation beside it."""
    input:
        "results/dune/{detector}/library.nc",
    output:
        "results/dune/{detector}/visibility.nc",
    log:
        "logs/dune/{detector}/fit_visibility.log",
    benchmark:
        "logs/dune/{detector}/fit_visibility.tsv"
    wildcard_constraints:
        detector=one_of(plan.libraries),
    threads: 1  # a step's batch is too small for two to be faster
    resources:
        mem_mb=4000,  # whatever the library's size: its channels are files, of its voxels as many are fitted as memory has room for
        runtime=60,
    params:
        entry=lambda w: params_of("dune", w.detector),
        code=code_hash("fieldfit.steps.fit_visibility"),
    script:
        "../scripts/fit_visibility.py"


rule calibrate_visibility:
    """Efficiencies and a smooth correction of the visibility from measured tracks, tied to the simulation."""
    input:
        visibility="results/dune/{detector}/visibility.nc",
        tracks=lambda w: plan.libraries[w.detector].tracks,
    output:
        "results/dune/{detector}/calibration.nc",
    log:
        "logs/dune/{detector}/calibrate_visibility.log",
    benchmark:
        "logs/dune/{detector}/calibrate_visibility.tsv"
    wildcard_constraints:
        detector=one_of(name for name, entry in plan.libraries.items() if entry.tracks),
    threads: 2
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        entry=lambda w: params_of("dune", w.detector),
        digest=lambda w: stamp(plan.libraries[w.detector], plan.libraries[w.detector].tracks),
        code=code_hash("fieldfit.steps.calibrate_visibility"),
    script:
        "../scripts/calibrate_visibility.py"


rule match_flashes:
    """Position and charge of measured flashes, by the gradient of the visibility."""
    input:
        unpack(lambda w: {"calibration": f"results/dune/{w.detector}/calibration.nc"} if plan.libraries[w.detector].tracks else {}),
        visibility="results/dune/{detector}/visibility.nc",
        flashes=lambda w: plan.libraries[w.detector].flashes,
    output:
        "results/dune/{detector}/flashes.nc",
    log:
        "logs/dune/{detector}/match_flashes.log",
    benchmark:
        "logs/dune/{detector}/match_flashes.tsv"
    wildcard_constraints:
        detector=one_of(name for name, entry in plan.libraries.items() if entry.flashes),
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        entry=lambda w: params_of("dune", w.detector),
        digest=lambda w: stamp(plan.libraries[w.detector], plan.libraries[w.detector].flashes),
        code=code_hash("fieldfit.steps.match_flashes"),
    script:
        "../scripts/match_flashes.py"


for detector in plan.libraries:
    if plan.exports(detector):

        rule:
            """The visibility in the layouts of other tools, calibrated where there are tracks: which files they are depends on the entry."""
            name:
                f"export_visibility_{detector}"
            input:
                **({"calibration": f"results/dune/{detector}/calibration.nc"} if plan.calibrated(detector) else {}),
                visibility=f"results/dune/{detector}/visibility.nc",
            output:
                plan.exports(detector),
            log:
                f"logs/dune/{detector}/export_visibility.log",
            benchmark:
                f"logs/dune/{detector}/export_visibility.tsv"
            threads: 2
            resources:
                mem_mb=4000,
                runtime=60,
            params:
                entry=params_of("dune", detector, export=True),
                code=code_hash("fieldfit.steps.export_visibility"),
            script:
                "../scripts/export_visibility.py"
