"""`make test-isa`."""

from __future__ import annotations

import sys

from tests.isa.run import main

sys.exit(main())
