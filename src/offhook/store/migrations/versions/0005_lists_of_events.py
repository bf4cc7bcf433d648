"""Lists of events are quick however many there are"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_events_listed", "events", ["org_id", "received_at", "seq", "status", "type", "source", "proof"])


def downgrade() -> None:
    raise NotImplementedError("offhook does not go back: restore the backup that was made before the upgrade")
