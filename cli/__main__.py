"""``python -m photonstream.cli``: the same as the command ``photonstream``."""

import sys

from photonstream.cli.main import main

sys.exit(main())
