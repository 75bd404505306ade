"""What can be seen from here of what a driver on the cluster would find: what is surely wrong is refused at once."""

import os

from sweeps.refusals import Refusal
from sweeps.results import Results
from sweeps.tracking.login import check_login
from sweeps.tracking.uri import VARIABLE, tracking_uri


def preflight(results: Results) -> None:
    """Raise `Refusal` for storage that is not there and an MLflow that refuses the login.

    What does not answer here may answer there, and is left to the driver.
    """
    results.check()
    if not results.is_local:
        _check_bucket(results)
    if os.environ.get(VARIABLE):
        check_login(tracking_uri(results))


def _check_bucket(results: Results) -> None:
    from pyarrow import fs

    try:
        filesystem, path = fs.FileSystem.from_uri(results.uri)
        found = filesystem.get_file_info(path.partition("/")[0])
    except OSError:  # no credentials here, or no way
        return
    if found.type == fs.FileType.NotFound:
        raise Refusal(f"storage is in a bucket that is there, and '{found.path}' is not. Make it, or give another")
