"""What can be wrong with a ledger, or with the wish to write to it."""


class LedgerError(Exception):
    """Base of all ledger errors. The message holds the rule, the value and what to change."""


class LedgerMissing(LedgerError):
    """There is no ledger at the place that was named."""


class LedgerExists(LedgerError):
    """A new sweep was to be created where one already is."""


class NotALedger(LedgerError):
    """The file or database at that place is something else, or damaged beyond opening."""


class LedgerUnreachable(LedgerError):
    """The ledger cannot be looked into: its server does not answer, or its folder cannot be written."""


class LedgerTooNew(NotALedger):
    """The ledger was written by a newer version of this program: to this one it is none."""


class SweepTaken(LedgerError):
    """Another live driver holds the sweep."""


class NotClaimed(LedgerError):
    """An event was to be appended by a ledger that never claimed the sweep."""


class FenceLost(LedgerError):
    """Another driver has claimed the sweep since this one did: nothing more may be written by this one."""


class IllegalEvent(LedgerError):
    """An event that cannot follow what the ledger holds. It is refused before it is written."""


class LedgerCorrupt(LedgerError):
    """The ledger holds an event that cannot stand where it stands. Names its sequence number and the rule."""


class UnsafeFilesystem(LedgerError):
    """A SQLite ledger was to lie where its log is not safe."""


class BackupRefused(LedgerError):
    """A backup was to be made where something is, or of a database that has a tool of its own for it."""
