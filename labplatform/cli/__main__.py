"""`python -m labplatform.cli`: the same as the command `labplatform`. CLI process."""

import sys

from . import main

sys.exit(main())
