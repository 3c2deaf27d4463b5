"""The command: write the report of all committed figures."""

import sys

from .page import main

sys.exit(main())
