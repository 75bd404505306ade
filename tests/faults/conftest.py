"""How much is tried: `make faults` sets FAULTS=long and tries as often as is promised, `make test` less often."""

import os

from hypothesis import settings

settings.register_profile("short", max_examples=60, stateful_step_count=60, deadline=None, database=None)
settings.register_profile("long", settings.get_profile("short"), max_examples=500)

#: Of the machines over states; a test takes it with `settings.get_profile(PROFILE)`.
PROFILE = "long" if os.environ.get("FAULTS") == "long" else "short"
