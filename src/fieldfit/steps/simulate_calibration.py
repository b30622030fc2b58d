"""Dark and flat frames of simulated sensors."""

from fieldfit.config.magis import Imaging
from fieldfit.simulate.sensor import sensors_of, write_calibration
from fieldfit.types import InputError


def simulate_calibration(entry: Imaging, name: str) -> None:
    """Write the frames of the calibration of this name. Raises InputError where the entry does not simulate its sensors."""
    if entry.simulate is None or entry.simulate.sensor is None:
        raise InputError("key 'simulate.sensor' is missing, expected it where dark and flat frames are to be made")
    own = entry.calibrations[name]
    write_calibration(own.dark, own.flat, name, entry.simulate.sensor, sensors_of(entry.simulate, entry.seed), entry.seed, entry.format)
