"""How many jobs of each rule an entry asks for, told by the plan: what Snakemake would list, before anything is made."""

from fieldfit.plan import Plan


def jobs_of(plan: Plan, section: str, name: str) -> dict[str, int]:
    """Jobs by rule, rules without a job left out. Raises InputError where the shots of an imaging run cannot be listed."""
    if section == "magis":
        found = _magis(plan, name)
    elif section == "dune":
        found = _dune(plan, name)
    elif section == "design":
        seeds = len(plan.showers[name].seeds) if name in plan.showers else 0
        found = {"optimise_material": seeds, "evaluate_design": int(bool(seeds)), "estimate_toy": int(not seeds)}
    else:
        found = {"simulate_tomography": int(plan.tomography[name].simulate is not None), "fit_tomogram": 1}
    return {rule: count for rule, count in found.items() if count}


def _magis(plan: Plan, name: str) -> dict[str, int]:
    closing = {"catalogue_shots": 1} if plan.is_night(name) else {}
    for entries, made, rule in (
        (plan.ports, "simulate_ports", "fit_gradiometer"),
        (plan.pictures, "simulate_pictures", "fit_pictures"),
        (plan.absorption, "simulate_triplets", "reduce_absorption"),
    ):
        if name in entries:
            return {made: int(entries[name].simulate is not None), rule: 1, **closing}
    entry, blocks = plan.imaging[name], len(plan.shots.blocks(name))
    return {
        "simulate_shots": int(entry.simulate is not None),
        "simulate_calibration": len(entry.calibrations) if entry.simulate and entry.simulate.sensor else 0,
        "describe_setup": 1,
        "characterise_sensor": len(entry.calibrations),
        "calibrate_frames": blocks,
        "refine_geometry": int(entry.refine is not None),
        "fit_density": blocks,
        "extract_surface": blocks if entry.object else 0,
        "estimate_phase": 1,
        **closing,
    }


def _dune(plan: Plan, name: str) -> dict[str, int]:
    entry = plan.libraries[name]
    return {
        "simulate_library": int(entry.simulate is not None),
        "read_library": 1,
        "fit_visibility": 1,
        "calibrate_visibility": int(entry.tracks is not None),
        "match_flashes": int(entry.flashes is not None),
        "export_visibility": int(bool(plan.exports(name))),
    }
