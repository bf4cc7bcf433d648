"""An organisation's replays are found without a look at each of its effects"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_effects_replays",
        "effects",
        ["org_id", "created_at", "id"],
        sqlite_where=sa.text("kind = 'replay'"),
        postgresql_where=sa.text("kind = 'replay'"),
    )


def downgrade() -> None:
    raise NotImplementedError("offhook does not go back: restore the backup that was made before the upgrade")
