"""`python -m lmx` is `lmx`."""

import sys

from lmx.cli import main

sys.exit(main())
