"""MAGIS: camera shots -> electrons -> density -> phase, a block of shots a job; pictures -> phase; ports -> gradiometer."""

from functools import cache

from fieldfit.catalogue import readable_shots
from fieldfit.sizes import memory_mb, minutes


@cache
def places_of(run):
    """Places of a run's shots by number: a folder is looked through once."""
    return readable_shots(plan.imaging[run].raw, plan.imaging[run].format)[0]


@cache
def calibrations_of(run, block):
    """Names of the calibrations that a block's shots may need: by their stamps, or by their numbers."""
    entry, shots = plan.imaging[run], plan.shots.blocks(run)[block].shots
    if not entry.calibrations:
        return []
    if entry.simulate:  # its files have no stamps, and may not be there yet
        return plan.calibrations(run, *(entry.start + shot * entry.shot_period_s for shot in (shots[0], shots[-1])))
    from fieldfit.io.frames import span_of  # dask and the readers take a second to import

    return plan.calibrations(run, *span_of(places_of(run), shots, entry.format, entry.start, entry.shot_period_s))


def block_mb(rule, first, shot):
    """Memory of a block's job: as measured, or `first` MB and `shot` MB for each of its shots."""
    return lambda w, attempt: memory_mb(Path(f"logs/magis/{w.run}/{rule}"), first + shot * len(plan.shots.blocks(w.run)[w.block].shots), attempt)


def block_minutes(rule, shot):
    """Minutes of a block's job: as measured, or `shot` seconds for each of its shots; two for the start, since those of a group add up."""
    return lambda w, attempt: minutes(Path(f"logs/magis/{w.run}/{rule}"), 2 + shot * len(plan.shots.blocks(w.run)[w.block].shots) / 60, attempt, 2)


rule describe_setup:
    """Views of a run, their footprints, and the fringes that they can see: from the camera file alone, before any shot is read."""
    input:
        lambda w: plan.imaging[w.run].cameras,
    output:
        "results/magis/{run}/setup.nc",
    log:
        "logs/magis/{run}/describe_setup.log",
    benchmark:
        "logs/magis/{run}/describe_setup.tsv"
    wildcard_constraints:
        run=one_of(plan.imaging),
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        entry=lambda w: params_of("magis", w.run),
        cameras=lambda w: plan.shots.camera_digest(w.run),
        code=code_hash("fieldfit.steps.describe_setup"),
    script:
        "../scripts/describe_setup.py"


rule characterise_sensor:
    """Dark level, gain, noise, flat field, bad pixels and saturation of the run's sensors, from the frames of one calibration."""
    input:
        cameras=lambda w: plan.imaging[w.run].cameras,
        # Frames that are there already are watched through `digest`.
        frames=lambda w: simulated_frames(w.run, w.calibration),
    output:
        "results/magis/{run}/sensor/{calibration}.nc",
    log:
        "logs/magis/{run}/characterise_sensor/{calibration}.log",
    benchmark:
        "logs/magis/{run}/characterise_sensor/{calibration}.tsv"
    wildcard_constraints:
        run=one_of(plan.imaging),
        calibration=r"[A-Za-z0-9_-]+",
    threads: 1
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        entry=lambda w: params_of("magis", w.run, [w.calibration]),
        digest=lambda w: plan.shots.calibration_digest(w.run, w.calibration),
        code=code_hash("fieldfit.steps.characterise_sensor"),
    script:
        "../scripts/characterise_sensor.py"


rule calibrate_frames:
    """Electrons above the pedestal and their variance for one block of shots; bad shots are flagged."""
    input:
        cameras=lambda w: plan.imaging[w.run].cameras,
        # A real run's folder grows all night: its shots are watched through `digest`, the simulated folder through its rule.
        raw=lambda w: plan.imaging[w.run].raw if plan.imaging[w.run].simulate else [],
        sensors=lambda w: [f"results/magis/{w.run}/sensor/{name}.nc" for name in calibrations_of(w.run, w.block)],
    output:
        "results/magis/{run}/electrons/{block}.nc",
    log:
        "logs/magis/{run}/calibrate_frames/{block}.log",
    benchmark:
        "logs/magis/{run}/calibrate_frames/{block}.tsv"
    wildcard_constraints:
        run=one_of(plan.imaging),
        block=r"\d+",
    group:
        "frames"  # not that of the fits: where geometry is refined, it comes between them
    threads: 1
    resources:
        mem_mb=block_mb("calibrate_frames", 800, 10),
        runtime=block_minutes("calibrate_frames", 2),
        in_turn=1,
    params:
        entry=lambda w: params_of("magis", w.run, calibrations_of(w.run, w.block)),
        shots=lambda w: list(plan.shots.blocks(w.run)[w.block].shots),
        digest=lambda w: plan.shots.blocks(w.run)[w.block].digest,
        code=code_hash("fieldfit.steps.calibrate_frames"),
    script:
        "../scripts/calibrate_frames.py"


rule refine_geometry:
    """Where the views really stand: poses, magnification, focus and mirror normals, from the clouds of the run's first shots or from a target."""
    input:
        cameras=lambda w: plan.imaging[w.run].cameras,
        electrons=lambda w: [f"results/magis/{w.run}/electrons/{block}.nc" for block in plan.shots.refined_from(w.run)],
        target=lambda w: plan.imaging[w.run].refine.target or [],
    output:
        "results/magis/{run}/geometry.nc",
    log:
        "logs/magis/{run}/refine_geometry.log",
    benchmark:
        "logs/magis/{run}/refine_geometry.tsv"
    wildcard_constraints:
        run=one_of(plan.refined),
    threads: 2
    resources:
        mem_mb=6000,
        runtime=60,
    params:
        entry=lambda w: params_of("magis", w.run),
        target=lambda w: stamp(plan.imaging[w.run], plan.imaging[w.run].refine.target),
        code=code_hash("fieldfit.steps.refine_geometry"),
    script:
        "../scripts/refine_geometry.py"


rule fit_density:
    """Densities of one block of shots, with their uncertainty, fitted together through the run's camera model."""
    input:
        electrons="results/magis/{run}/electrons/{block}.nc",
        cameras=lambda w: plan.imaging[w.run].cameras,
        geometry=lambda w: [f"results/magis/{w.run}/geometry.nc"] if plan.imaging[w.run].refine else [],
    output:
        "results/magis/{run}/density/{block}.nc",
    log:
        "logs/magis/{run}/fit_density/{block}.log",
    benchmark:
        "logs/magis/{run}/fit_density/{block}.tsv"
    wildcard_constraints:
        run=one_of(plan.imaging),
        block=r"\d+",
    group:
        "block"
    threads: 1  # a second makes a block 1.2 times faster: two blocks side by side are worth more
    resources:
        mem_mb=block_mb("fit_density", 1500, 40),
        runtime=block_minutes("fit_density", 30),
        in_turn=1,
    params:
        entry=lambda w: params_of("magis", w.run),
        digest=lambda w: plan.shots.blocks(w.run)[w.block].digest,
        code=code_hash("fieldfit.steps.fit_density"),
    script:
        "../scripts/fit_density.py"


rule extract_surface:
    """Surface of a printed object in the densities of one block, registered to its drawing, and how far they lie apart."""
    input:
        density="results/magis/{run}/density/{block}.nc",
        cad=lambda w: plan.imaging[w.run].object.cad,
    output:
        "results/magis/{run}/surface/{block}.nc",
    log:
        "logs/magis/{run}/extract_surface/{block}.log",
    benchmark:
        "logs/magis/{run}/extract_surface/{block}.tsv"
    wildcard_constraints:
        run=one_of(name for name, entry in plan.imaging.items() if entry.object),
        block=r"\d+",
    group:
        "block"
    threads: 1
    resources:
        mem_mb=block_mb("extract_surface", 1500, 40),
        runtime=block_minutes("extract_surface", 20),
        in_turn=1,
    params:
        entry=lambda w: params_of("magis", w.run),
        digest=lambda w: plan.shots.blocks(w.run)[w.block].digest,
        drawing=lambda w: stamp(plan.imaging[w.run], plan.imaging[w.run].object.cad),
        code=code_hash("fieldfit.steps.extract_surface"),
    script:
        "../scripts/extract_surface.py"


rule estimate_phase:
    """Phase, contrast, period, atom number, position and size of every shot of a run, from the densities of its blocks."""
    input:
        lambda w: [f"results/magis/{w.run}/density/{block}.nc" for block in plan.shots.blocks(w.run)],
    output:
        "results/magis/{run}/phase.nc",
    log:
        "logs/magis/{run}/estimate_phase.log",
    benchmark:
        "logs/magis/{run}/estimate_phase.tsv"
    wildcard_constraints:
        run=one_of(plan.imaging),
    group:
        "night"
    threads: 1
    resources:
        in_turn=1,
        mem_mb=2000,
        runtime=20,
    params:
        entry=lambda w: params_of("magis", w.run),
        digest=lambda w: plan.shots.digest(w.run),
        code=code_hash("fieldfit.steps.estimate_phase"),
    script:
        "../scripts/estimate_phase.py"


rule fit_pictures:
    """Fringe phase of single pictures, a model of a fringe across a Gaussian cloud fitted to each."""
    input:
        lambda w: plan.pictures[w.run].raw,
    output:
        "results/magis/{run}/phase.nc",
    log:
        "logs/magis/{run}/fit_pictures.log",
    benchmark:
        "logs/magis/{run}/fit_pictures.tsv"
    wildcard_constraints:
        run=one_of(plan.pictures),
    threads: 1
    resources:
        mem_mb=3000,
        runtime=20,
    params:
        entry=lambda w: params_of("magis", w.run),
        digest=lambda w: plan.shots.digest(w.run),
        code=code_hash("fieldfit.steps.fit_pictures"),
    script:
        "../scripts/fit_pictures.py"


rule reduce_absorption:
    """Optical density and atom number of absorption triplets, fringes removed by an eigen-background from all probes of the run."""
    input:
        # A real run's folder grows: its files are watched through `digest`, the simulated folder through its rule.
        lambda w: plan.absorption[w.run].raw if plan.absorption[w.run].simulate else [],
    output:
        "results/magis/{run}/optical_density.nc",
    log:
        "logs/magis/{run}/reduce_absorption.log",
    benchmark:
        "logs/magis/{run}/reduce_absorption.tsv"
    wildcard_constraints:
        run=one_of(plan.absorption),
    threads: 1
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        entry=lambda w: params_of("magis", w.run),
        digest=lambda w: plan.shots.digest(w.run),
        code=code_hash("fieldfit.steps.reduce_absorption"),
    script:
        "../scripts/reduce_absorption.py"


rule fit_gradiometer:
    """Differential phases of a ports run with the common laser phase profiled out, its spectrum and the systematics budget."""
    input:
        lambda w: plan.ports[w.run].raw,
    output:
        "results/magis/{run}/gradiometer.nc",
    log:
        "logs/magis/{run}/fit_gradiometer.log",
    benchmark:
        "logs/magis/{run}/fit_gradiometer.tsv"
    wildcard_constraints:
        run=one_of(plan.ports),
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        entry=lambda w: params_of("magis", w.run),
        digest=lambda w: plan.shots.digest(w.run),
        code=code_hash("fieldfit.steps.fit_gradiometer"),
    script:
        "../scripts/fit_gradiometer.py"
