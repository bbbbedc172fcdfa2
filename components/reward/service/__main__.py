"""`python -m components.reward.service`: the server, where there is no `mimo` command."""

import sys

from components.reward.service.command import main

sys.exit(main())
