"""What a worker does before its first trial."""

import subprocess
import sys

SCRIPT = """
import sys
from trainables.config import TrialConfig
from trainables.preparing import prepare
said = []
prepare(TrialConfig().to_json(), workspace="", share=0, shares=1, progress=said.append)
print(said, "sklearn.datasets" in sys.modules, "torch._dynamo" in sys.modules)
"""


def test_data_and_what_a_first_step_imports_are_there_and_each_part_was_said() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['loads the data', 'warms up'] True True"
