"""`python -m aevae COMMAND`."""

import sys

from aevae.cli import main

sys.exit(main())
