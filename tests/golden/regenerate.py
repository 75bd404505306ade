"""Train the golden traces again: ``python -m tests.golden.regenerate``, from the root of the checkout.

Only after a change that is meant to change what is computed; say in the change which losses moved, and why.
Fields that a config has won since are written into it with today's defaults; new members get a trace of their own.
"""

import json
import os


def main() -> None:
    """Rewrite ``traces.json`` with the losses that its configs have now."""
    os.environ["OMP_NUM_THREADS"] = "1"  # before torch is loaded, as in the tests
    from tests.golden.trace import FILE, STEPS, losses, stored
    from tests.trainables.trials import combination_id, each_member_once
    from trainables.config import TrialConfig

    configs = {
        combination_id(config): config.model_copy(update={"steps": STEPS, "rungs": STEPS}).to_json()
        for config in each_member_once()
    }
    configs |= {name: TrialConfig.model_validate(trace["config"]).to_json() for name, trace in stored().items()}
    traces = {name: {"config": config, "losses": losses(config)} for name, config in configs.items()}
    FILE.write_text(json.dumps(traces, indent=1) + "\n")


if __name__ == "__main__":
    main()
