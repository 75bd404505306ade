"""Ledgers of older schema versions: read as they are, brought to today's version by the first driver that claims them.

Version 1 (until November 2026) has no chain of digests (`sweeps.ledger.chain`): no `events.digest`, no `sweep.head`.
"""

from sqlalchemy import Connection, select, text, update

from sweeps.ledger.chain import genesis, link_of
from sweeps.ledger.schema import EVENTS, SCHEMA_VERSION, SWEEP


def migrate(connection: Connection) -> str:
    """Chain the events of a ledger of version 1 as they are now, and return the head. All of it or nothing is done."""
    connection.execute(text("ALTER TABLE sweep ADD COLUMN head VARCHAR(64)"))
    connection.execute(text("ALTER TABLE events ADD COLUMN digest VARCHAR(64)"))
    sweep = connection.execute(select(SWEEP)).one()
    head = genesis(sweep.id, sweep.uid, sweep.spec)
    for row in connection.execute(select(EVENTS).order_by(EVENTS.c.seq)).all():
        head = link_of(head, row)
        connection.execute(update(EVENTS).where(EVENTS.c.seq == row.seq).values(digest=head))
    connection.execute(update(SWEEP).values(head=head, schema_version=SCHEMA_VERSION))
    return head
