"""Where each product lies, below `results/`."""

WHERE: dict[str, str] = {
    "setup": "magis/{run}/setup.nc",
    "sensor": "magis/{run}/sensor/{calibration}.nc",
    "electrons": "magis/{run}/electrons/{block}.nc",
    "geometry": "magis/{run}/geometry.nc",
    "density": "magis/{run}/density/{block}.nc",
    "surface": "magis/{run}/surface/{block}.nc",
    "phase": "magis/{run}/phase.nc",
    "gradiometer": "magis/{run}/gradiometer.nc",
    "optical_density": "magis/{run}/optical_density.nc",
    "catalogue": "magis/{run}/catalogue.nc",
    "library": "dune/{detector}/library.nc",
    "visibility": "dune/{detector}/visibility.nc",
    "calibration": "dune/{detector}/calibration.nc",
    "flashes": "dune/{detector}/flashes.nc",
    "material": "design/{study}/material/{seed}.nc",
    "design": "design/{study}/design.nc",
    "toy": "design/{study}/toy.nc",
    "tomogram": "gallery/{name}/tomogram.nc",
}
