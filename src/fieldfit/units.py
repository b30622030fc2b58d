"""SI inside; these factors are the only place where other units are spelled out."""

import math

CM = 1e-2
MM = 1e-3
UM = 1e-6
NS = 1e-9
MRAD = 1e-3
TAU = 2 * math.pi

SR_IMAGING_WAVELENGTH_M = 461e-9  # the light that the cameras see

AR_DELAY_S_M = 7.46e-9  # 1 / group velocity of 128 nm light in liquid argon: Babicz et al., JINST 15, P09009 (2020)
