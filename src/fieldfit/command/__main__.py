"""`python -m fieldfit.command`."""

import sys

from fieldfit.command.main import main

sys.exit(main())
