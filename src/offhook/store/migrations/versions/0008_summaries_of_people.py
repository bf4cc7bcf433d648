"""What a person writes in place of a call's summary is kept beside the call"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "summaries",
        sa.Column("call_id", sa.String(24), nullable=False),
        sa.Column("org_id", sa.String(24), nullable=False),
        sa.Column("summary", sa.Text, nullable=False),
        sa.Column("told", sa.Text),
        sa.Column("edited_by", sa.String(24), nullable=False),
        sa.Column("edited_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("call_id", name="pk_summaries"),
    )


def downgrade() -> None:
    raise NotImplementedError("offhook does not go back: restore the backup that was made before the upgrade")
