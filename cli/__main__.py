"""``python -m photonstream.cli``: the same as the command ``photonstream``."""

import sys

from photonstream.cli.command import main

sys.exit(main())
