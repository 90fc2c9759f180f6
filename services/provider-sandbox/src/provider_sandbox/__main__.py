"""Entry point of `python -m provider_sandbox`."""

import sys

from provider_sandbox.main import main

sys.exit(main())
