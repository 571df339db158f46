"""`python -m imgpatch`."""

import sys

from imgpatch.cli import main

sys.exit(main())
