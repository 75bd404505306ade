"""A finished sweep whose trials say what must not be told: a secret, a path of this machine, a name, markup."""

from pathlib import Path
from typing import Any

from sweeps.events import Closed, Ended
from tests.sweeps import synthetic

SECRET = "ghp_" + "Abcd1234" * 4
NAME = "ada-lovelace"
FOLDER = f"/home/{NAME}/private/data"
MARKUP = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"


def sweep(folder: Path, name: str, count: int = 60) -> None:
    """Failed trials quote all of it in their messages; configs name a file."""
    events: list[Any] = [synthetic.opened()]
    for event in synthetic.trials(range(count), synthetic.digits()):
        if isinstance(event, Ended) and event.state == "failed":
            event = event.model_copy(update={"message": f"{MARKUP} {SECRET} in {FOLDER}/set.parquet: torn"})
        if event.kind == "planned" and event.trial % 2:
            event.config["task"]["root"] = f"{FOLDER}/{event.trial}.arrow"
        events.append(event)
    synthetic.write(folder, name, [*events, Closed(fence=1, reason="done")], synthetic.digits())


def told(text: str) -> list[str]:
    """Which of them a text tells."""
    return [word for word in (SECRET, NAME, FOLDER, str(Path.cwd()), "/tmp/") if word in text]
