"""Calls of one direction are found at once, also where there are none"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_calls_org_id_direction", "calls", ["org_id", "direction", "happened_at", "id"])


def downgrade() -> None:
    raise NotImplementedError("offhook does not go back: restore the backup that was made before the upgrade")
