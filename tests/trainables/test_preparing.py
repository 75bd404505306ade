"""What a worker does before its first trial."""

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys
from trainables.config import TrialConfig
from trainables.preparing import prepare
said = []
config = TrialConfig(views=2, teacher_cache=True).model_dump(mode="json")
config["teacher"] |= {"steps": 2, "model": {"name": "convnet", "width": 2}}
prepare(config, workspace=sys.argv[1], share=0, shares=1, progress=said.append)
print(said[:2], said[-1], "sklearn.datasets" in sys.modules, "torch._dynamo" in sys.modules)
"""


def test_all_that_a_first_trial_needs_is_there_and_each_part_was_said(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "sweep")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['warms up', 'waits for the teacher'] teacher's outputs: part 9 of 9 True True"
    assert len(list((tmp_path / "cache" / "teachers").glob("*.safetensors"))) == 1
    assert len(list((tmp_path / "cache" / "teacher_outputs").glob("*/*.arrow"))) == 9
