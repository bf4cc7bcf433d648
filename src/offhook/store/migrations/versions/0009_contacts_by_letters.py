"""Contacts are found by letters anywhere in their names, emails and numbers without looking at each

SQLite: FTS5 has the letters by threes, in an order of its own that triggers keep. PostgreSQL: an index that serves LIKE,
where its extension pg_trgm can be had; without it a search looks at each contact, as before.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_NEW = (
    "INSERT INTO contact_search (contact_id) VALUES (new.id); "
    "INSERT INTO contact_words (rowid, words) SELECT seq, new.search_text FROM contact_search WHERE contact_id = new.id; "
)
_OLD = (
    "INSERT INTO contact_words (contact_words, rowid, words) "
    "SELECT 'delete', seq, old.search_text FROM contact_search WHERE contact_id = old.id; "
    "DELETE FROM contact_search WHERE contact_id = old.id; "
)
_SQLITE = (
    "CREATE TABLE contact_search (seq INTEGER PRIMARY KEY AUTOINCREMENT, contact_id VARCHAR(24) NOT NULL)",
    "CREATE UNIQUE INDEX ux_contact_search_contact_id ON contact_search (contact_id)",
    "CREATE VIRTUAL TABLE contact_words USING fts5"
    "(words, content = '', detail = 'none', tokenize = 'trigram case_sensitive 1')",
    "INSERT INTO contact_search (contact_id) SELECT id FROM contacts",
    "INSERT INTO contact_words (rowid, words) "
    "SELECT seq, search_text FROM contact_search JOIN contacts ON contacts.id = contact_id",
    f"CREATE TRIGGER contact_search_new AFTER INSERT ON contacts BEGIN {_NEW} END",
    f"CREATE TRIGGER contact_search_gone AFTER DELETE ON contacts BEGIN {_OLD} END",
    "CREATE TRIGGER contact_search_changed AFTER UPDATE ON contacts "
    f"WHEN new.search_text IS NOT old.search_text OR new.id IS NOT old.id BEGIN {_OLD} {_NEW} END",
)
_POSTGRESQL = """
DO $$ BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    CREATE INDEX ix_contacts_search_text ON contacts USING gin (search_text gin_trgm_ops);
EXCEPTION WHEN insufficient_privilege OR undefined_file OR feature_not_supported OR undefined_object THEN
    RAISE NOTICE 'pg_trgm cannot be had: contacts are searched without an index';
END $$
"""


def upgrade() -> None:
    for statement in _SQLITE if op.get_bind().dialect.name == "sqlite" else (_POSTGRESQL,):
        op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    raise NotImplementedError("offhook does not go back: restore the backup that was made before the upgrade")
