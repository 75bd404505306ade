"""What ends a sweep that cannot go on; here, so that whoever catches it need not load Ray Train and Ray Tune."""


class SlotsLostError(RuntimeError):
    """No slot is left that could train; the message holds each slot's reason."""


class TuneFailedError(RuntimeError):
    """Ray Tune could not keep the proxy of a trial alive; the trial itself may be continued."""
