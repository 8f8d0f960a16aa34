"""``python -m copilotedge_client`` is the program ``copilotedge``."""

import sys

from copilotedge_client.terminal import main

sys.exit(main())
