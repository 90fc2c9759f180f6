"""Versions from one sequence, so that what two connections say of one account can be ordered.

It counts in steps of two: where a connection is taken up again, the number between two steps is the version of the
event that comes right before.
"""

from alembic import op

from persistence.roles import CONNECTOR

revision = "sync_0002"
down_revision = "sync_0001"
branch_labels = None
depends_on = None

VERSIONS = "CREATE SEQUENCE sync.versions AS bigint INCREMENT BY 2 MINVALUE 1 START WITH 1 NO CYCLE CACHE 1"
ABOVE_ALL = "SELECT setval('sync.versions', COALESCE(max(fence), -1) + 2, false) FROM sync.sync_state"


def upgrade() -> None:
    # Nobody claims a connection between the look at the highest fence and the first number after it.
    op.execute("LOCK TABLE sync.sync_state IN SHARE ROW EXCLUSIVE MODE")
    op.execute(VERSIONS)
    # The owner of the table is subject to its row-level security, too.
    op.execute("ALTER TABLE sync.sync_state NO FORCE ROW LEVEL SECURITY")
    op.execute(ABOVE_ALL)
    op.execute("ALTER TABLE sync.sync_state FORCE ROW LEVEL SECURITY")
    op.execute(f"GRANT USAGE ON SEQUENCE sync.versions TO {CONNECTOR}")
