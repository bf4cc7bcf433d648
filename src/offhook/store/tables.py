"""Every table, on one screen. Times are unix seconds (UTC), ids 24 hex digits, JSON is text that msgspec wrote.

PostgreSQL's jsonb is not used: it refuses U+0000 and lone surrogates, which callers do send. What people edit lies in
columns that the projection never writes; they are marked "a person's".
"""

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "pk": "pk_%(table_name)s"},
)


def _id(name: str = "id", *, primary_key: bool = False, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(24), primary_key=primary_key, nullable=nullable)


def _time(name: str, *, nullable: bool = False) -> sa.Column[float]:
    return sa.Column(name, sa.Double, nullable=nullable)


_Seq = sa.BigInteger().with_variant(sa.Integer, "sqlite")  #: only INTEGER is SQLite's own row number

organizations = sa.Table(
    "organizations",
    metadata,
    _id(primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("timezone", sa.Text, nullable=False),  # IANA
    sa.Column("country", sa.String(2), nullable=False),  # where national numbers are dialled
    sa.Column("settings", sa.Text, nullable=False),  # JSON: what `org set` sets
    _time("created_at"),
)

secrets = sa.Table(
    "secrets",
    metadata,
    _id(primary_key=True),
    _id("org_id"),
    sa.Column("kind", sa.Text, nullable=False),  # webhook, tool, api_key
    sa.Column("sealed", sa.LargeBinary),  # webhook: HMAC needs the secret itself
    sa.Column("hash", sa.Text),  # tool, api_key: sha256 hex; what is presented is compared as a hash
    sa.Column("scopes", sa.Text, nullable=False),  # api_key: "read", "read write" or "read write admin"
    sa.Column("label", sa.Text, nullable=False),
    _time("created_at"),
    _time("expires_at", nullable=True),  # rotation with overlap
    _time("last_used_at", nullable=True),
    sa.Index("ix_secrets_org_id", "org_id"),
)

agents = sa.Table(
    "agents",
    metadata,
    _id("org_id", primary_key=True),
    sa.Column("agent_id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text),
    sa.Column("variables", sa.Text),  # JSON list of rules.Variable, beside the organisation's: a person's
    sa.Column("is_learnt", sa.Boolean, nullable=False),  # from a proven event, not registered by a person
    _time("created_at"),
)

numbers = sa.Table(
    "numbers",
    metadata,
    _id("org_id", primary_key=True),
    sa.Column("number", sa.Text, primary_key=True),  # E.164, ours
    sa.Column("label", sa.Text),
    _time("created_at"),
)

directory_version = sa.Table(  # one row; grows with every change to the four tables above
    "directory_version",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("version", sa.BigInteger, nullable=False),
)

events = sa.Table(  # the inbox: the truth
    "events",
    metadata,
    sa.Column("seq", _Seq, primary_key=True, autoincrement=True),
    _id(),
    _id("org_id"),
    _id("call_id", nullable=True),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("proof", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("attempts", sa.Integer, nullable=False),  # projections begun; counted before they are made
    sa.Column("deliveries", sa.Integer, nullable=False),  # how often these very bytes came
    sa.Column("conversation_id", sa.Text),
    sa.Column("agent_id", sa.Text),
    _time("event_timestamp", nullable=True),
    _time("received_at"),
    _time("projected_at", nullable=True),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),  # of the whole body as it came
    sa.Column("parts", sa.Text),  # JSON list of events.Part; NULL: the body is whole in this row
    sa.Column("audio", sa.Text),  # JSON events.Audio
    sa.Column("body", sa.LargeBinary, nullable=False),  # sealed
    sa.Column("answer", sa.LargeBinary),  # sealed; what we said back, where the call depends on it: a greeting
    sa.Index("ux_events_id", "id", unique=True),
    sa.Index("ix_events_call_id", "call_id"),
    # A page of a list, whatever it is chosen by, and the counts of a day are found without reading a body.
    sa.Index("ix_events_listed", "org_id", "received_at", "seq", "status", "type", "source", "proof"),
    sa.Index(
        "ix_events_pending",
        "seq",
        sqlite_where=sa.text("status = 'pending'"),
        postgresql_where=sa.text("status = 'pending'"),
    ),
    sqlite_autoincrement=True,
)

contexts = sa.Table(  # who was ringing: a row a personalization request, found again when the call's events come
    "contexts",
    metadata,
    _id("event_id", primary_key=True),
    _id("org_id"),
    _time("asked_at"),
    _id("call_sid_key", nullable=True),  # the keys are derived ids: what was sent may be longer than an index takes
    _id("conversation_key", nullable=True),
    _id("numbers_key", nullable=True),  # agent, caller and called together
    sa.Column("context", sa.Text, nullable=False),  # JSON store.contexts.Context
    sa.Index("ix_contexts_call_sid_key", "call_sid_key"),
    sa.Index("ix_contexts_conversation_key", "conversation_key"),
    sa.Index("ix_contexts_numbers_key_asked_at", "numbers_key", "asked_at"),
)

calls = sa.Table(
    "calls",
    metadata,
    _id(primary_key=True),
    _id("org_id"),
    _id("contact_id", nullable=True),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("provider_call_id", sa.Text),  # the conversation id; externalCallId for external calls
    sa.Column("call_sid", sa.Text),  # the carrier's id
    sa.Column("direction", sa.Text),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("from_number", sa.Text),  # E.164 where it is a number, else as it came
    sa.Column("to_number", sa.Text),
    sa.Column("agent_id", sa.Text),
    sa.Column("agent_name", sa.Text),
    _time("started_at", nullable=True),
    _time("answered_at", nullable=True),
    _time("ended_at", nullable=True),
    sa.Column("duration_s", sa.Double),
    sa.Column("title", sa.Text),
    sa.Column("summary", sa.Text),
    sa.Column("is_successful", sa.Boolean),
    sa.Column("cost_credits", sa.Double),
    sa.Column("cost_usd", sa.Double),
    sa.Column("failure", sa.Text),  # why it failed, in the provider's words
    _time("happened_at"),  # when it started, as far as is known, else when we first heard of it: lists sort by it
    _time("created_at"),
    _time("updated_at"),
    sa.Column("transcript", sa.Text, nullable=False),  # JSON list of turns
    sa.Column("analysis", sa.Text),  # JSON
    sa.Column("context", sa.Text),  # JSON: what the agent was told, and the variables of the call
    sa.Column("details", sa.Text),  # JSON: what else the provider said (scrubbed)
    sa.Index("ix_calls_org_id_happened_at", "org_id", "happened_at", "id"),  # a page is cut out by the index alone
    sa.Index("ix_calls_org_id_contact_id", "org_id", "contact_id", "happened_at", "id"),
    sa.Index("ix_calls_org_id_direction", "org_id", "direction", "happened_at", "id"),  # also where there are none
    sa.Index("ix_calls_org_id_updated_at", "org_id", "updated_at", "id"),  # what is new since an open page looked
    sa.Index("ix_calls_org_id_call_sid", "org_id", "call_sid"),
    sa.Index("ix_calls_statistics", "org_id", "happened_at", "status", "duration_s"),  # counts without reading a call
)

recordings = sa.Table(
    "recordings",
    metadata,
    _id(primary_key=True),
    _id("org_id"),
    _id("call_id"),
    _id("event_id"),
    sa.Column("file", sa.Text, nullable=False),  # a name of our own making
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("duration_s", sa.Double),
    sa.Column("state", sa.Text, nullable=False),  # ready, not_playable, undecodable
    _time("created_at"),
    sa.Index("ix_recordings_call_id", "call_id"),
    sa.Index("ix_recordings_org_id_created_at", "org_id", "created_at", "id"),
)

notes = sa.Table(
    "notes",
    metadata,
    _id(primary_key=True),
    _id("org_id"),
    _id("call_id", nullable=True),
    _id("contact_id", nullable=True),
    sa.Column("type", sa.Text, nullable=False),  # ai_summary: the projection's; note: a person's
    sa.Column("note", sa.Text, nullable=False),
    _time("created_at"),
    _time("updated_at"),
    sa.Index("ix_notes_call_id", "call_id"),
    sa.Index("ix_notes_contact_id", "contact_id"),
)

summaries = sa.Table(  # what a person wrote in place of a call's summary; the projection writes the call with it
    "summaries",
    metadata,
    _id("call_id", primary_key=True),
    _id("org_id"),
    sa.Column("summary", sa.Text, nullable=False),  # a person's
    sa.Column("told", sa.Text),  # what the events say, the projection's; NULL: nothing
    _id("edited_by"),  # a user
    _time("edited_at"),
)

contacts = sa.Table(
    "contacts",
    metadata,
    _id(primary_key=True),
    _id("org_id"),
    sa.Column("first_name", sa.Text),  # a person's, as all names and emails
    sa.Column("last_name", sa.Text),
    sa.Column("emails", sa.Text, nullable=False),  # JSON list
    sa.Column("external_id", sa.Text),  # the provider's user_id
    sa.Column("source", sa.Text, nullable=False),  # call, api, import, cli, dashboard
    _time("created_at"),
    _time("updated_at"),
    sa.Column("search_text", sa.Text, nullable=False),  # names, emails and numbers, folded, a line each
    sa.Index("ix_contacts_org_id_created_at_id", "org_id", "created_at", "id"),
    sa.Index("ux_contacts_org_id_external_id", "org_id", "external_id", unique=True),
)

contact_numbers = sa.Table(
    "contact_numbers",
    metadata,
    _id("org_id", primary_key=True),
    sa.Column("number", sa.Text, primary_key=True),  # E.164
    _id("contact_id"),
    sa.Column("position", sa.Integer, nullable=False),  # 0: the first, shown as phoneNumber
    sa.Index("ix_contact_numbers_contact_id", "contact_id"),
)

effects = sa.Table(  # what reaches outside, or comes round by the clock: a row first, written with what wants it
    "effects",
    metadata,
    _id(primary_key=True),  # derived from kind and key: whoever wants the same thing again arrives at the same row
    _id("org_id", nullable=True),  # NULL: a schedule of the whole installation
    sa.Column("kind", sa.Text, nullable=False),  # a row of effects.KINDS
    sa.Column("key", sa.Text, nullable=False),  # what makes it this one and no other, within its kind
    _id("call_id", nullable=True),
    sa.Column("payload", sa.Text, nullable=False),  # JSON: what it takes to do it
    sa.Column("status", sa.Text, nullable=False),  # due, done, suppressed, dead
    sa.Column("outcome", sa.Text),  # a word or sentence: how it ended, or why the last attempt did not do
    sa.Column("attempts", sa.Integer, nullable=False),  # begun; counted before they are made
    _time("due_at"),
    _time("leased_until", nullable=True),  # while a worker has it in hand; later, that worker is taken for dead
    sa.Column("leased_by", sa.Text),
    _time("created_at"),
    _time("updated_at"),
    sa.Index(
        "ix_effects_due_at",
        "due_at",
        sqlite_where=sa.text("status = 'due'"),
        postgresql_where=sa.text("status = 'due'"),
    ),
    sa.Index("ix_effects_org_id_created_at", "org_id", "created_at", "id"),
    sa.Index(
        "ix_effects_replays",
        "org_id",
        "created_at",
        "id",
        sqlite_where=sa.text("kind = 'replay'"),
        postgresql_where=sa.text("kind = 'replay'"),
    ),
    sa.Index("ix_effects_status", "status", "kind"),
    sa.Index("ix_effects_call_id", "call_id"),
)

messages = sa.Table(  # texts, to people and from them
    "messages",
    metadata,
    _id(primary_key=True),
    _id("org_id"),
    _id("call_id", nullable=True),
    _id("contact_id", nullable=True),
    sa.Column("kind", sa.Text, nullable=False),  # missed_call, tool, person (a user wrote it), reply
    sa.Column("to_number", sa.Text),
    sa.Column("from_number", sa.Text),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),  # queued, sending, sent, delivered, failed, suppressed, received
    sa.Column("reason", sa.Text),
    sa.Column("provider", sa.Text),
    sa.Column("provider_message_id", sa.Text),
    _time("begun_at", nullable=True),  # when the provider was asked to send it, the last time: caps count it
    _time("created_at"),
    _time("updated_at"),
    sa.Index("ix_messages_org_id_created_at", "org_id", "created_at", "id"),
    sa.Index("ix_messages_call_id", "call_id"),
    sa.Index("ix_messages_contact_id", "contact_id"),
    sa.Index("ix_messages_org_id_begun_at", "org_id", "begun_at"),
    sa.Index("ix_messages_to_number", "to_number", "begun_at"),
    sa.Index("ix_messages_provider_message_id", "provider_message_id"),
)

opt_outs = sa.Table(  # numbers that want no texts
    "opt_outs",
    metadata,
    _id("org_id", primary_key=True),
    sa.Column("number", sa.Text, primary_key=True),  # E.164
    sa.Column("source", sa.Text, nullable=False),  # stop: the person's own text; api, cli: somebody wrote it down
    _time("created_at"),
)

staff = sa.Table(  # the organisation's people, to whom an agent may hand a call over; all of it a person's
    "staff",
    metadata,
    _id(primary_key=True),
    _id("org_id"),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("number", sa.Text),  # E.164; None: can be seen, not rung
    sa.Column("is_online", sa.Boolean, nullable=False),
    sa.Column("is_available", sa.Boolean, nullable=False),
    _time("created_at"),
    _time("updated_at"),
    sa.Index("ix_staff_org_id", "org_id"),
)

tool_uses = sa.Table(  # what an agent did while the call was on
    "tool_uses",
    metadata,
    _id(primary_key=True),  # derived from tool_call_id, else from what was asked: asked again, it is the same use
    _id("org_id"),
    _id("call_id", nullable=True),
    sa.Column("tool", sa.Text, nullable=False),
    sa.Column("tool_call_id", sa.Text),
    sa.Column("request", sa.Text, nullable=False),  # JSON
    sa.Column("answer", sa.Text),  # JSON; NULL while it is in hand
    sa.Column("took_ms", sa.Double),
    _time("created_at"),
    sa.Index("ix_tool_uses_call_id", "call_id"),
    sa.Index("ix_tool_uses_org_id_created_at", "org_id", "created_at", "id"),
)

callbacks = sa.Table(  # people who want to be rung back
    "callbacks",
    metadata,
    _id(primary_key=True),
    _id("org_id"),
    _id("call_id", nullable=True),
    _id("contact_id", nullable=True),
    sa.Column("number", sa.Text),  # E.164
    sa.Column("reason", sa.Text),
    sa.Column("status", sa.Text, nullable=False),  # open, done: a person's
    _time("created_at"),
    _time("updated_at"),
    sa.Index("ix_callbacks_org_id_created_at", "org_id", "created_at", "id"),
    sa.Index("ix_callbacks_call_id", "call_id"),
    sa.Index("ix_callbacks_contact_id", "contact_id"),
)

memories = sa.Table(  # what a person changed in what is remembered of a contact; the rest follows from the calls
    "memories",
    metadata,
    _id("contact_id", primary_key=True),
    _id("org_id"),
    sa.Column("previous_topics", sa.Text),  # NULL: as the calls say
    sa.Column("last_call_summary", sa.Text),
    sa.Column("open_items", sa.Text),
    _time("forgotten_before", nullable=True),  # calls from before are not remembered
    _time("updated_at"),
)

user_aliases = sa.Table(  # user ids of contacts that were merged into another
    "user_aliases",
    metadata,
    _id("org_id", primary_key=True),
    sa.Column("external_id", sa.Text, primary_key=True),
    _id("contact_id"),
    sa.Index("ix_user_aliases_contact_id", "contact_id"),
)

merged_contacts = sa.Table(  # contacts that are another now; nobody new gets their ids
    "merged_contacts",
    metadata,
    _id("contact_id", primary_key=True),
    _id("org_id"),
    _id("kept_id"),  # the contact that it became
    _time("merged_at"),
    sa.Index("ix_merged_contacts_kept_id", "kept_id"),
)


# What is kept of the provider's side, to compare it with ours

workspaces = sa.Table(
    "workspaces",
    metadata,
    _id("org_id", primary_key=True),
    sa.Column("api_key", sa.LargeBinary, nullable=False),  # sealed
    sa.Column("set_up", sa.Text, nullable=False),  # JSON: what `offhook connect` made and changed there, to undo it
    _time("reconciled_until", nullable=True),  # calls that began before are accounted for
    _time("reconciled_at", nullable=True),
    sa.Column("trouble", sa.Text),  # the sentence of the last attempt that failed; NULL after one that did not
    _time("created_at"),
    _time("updated_at"),
)

balances = sa.Table(
    "balances",
    metadata,
    _id("org_id", primary_key=True),
    sa.Column("day", sa.Text, primary_key=True),  # UTC, "2026-11-22": when the calls began
    sa.Column("theirs", sa.Integer, nullable=False),
    sa.Column("ours", sa.Integer, nullable=False),  # of theirs, those that are here
    sa.Column("fetched", sa.Integer, nullable=False),  # of ours, those that no webhook brought
    sa.Column("absent", sa.Integer, nullable=False),  # of theirs, those that are not; `absences` says why
    _time("updated_at"),
)

absences = sa.Table(
    "absences",
    metadata,
    _id("org_id", primary_key=True),
    sa.Column("conversation_id", sa.Text, primary_key=True),
    sa.Column("what", sa.Text, primary_key=True),  # conversation, audio
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("is_final", sa.Boolean, nullable=False),  # false: it is asked about again
    _time("began_at"),  # the call
    _time("noticed_at"),
)

warnings = sa.Table(
    "warnings",
    metadata,
    _id("org_id", primary_key=True),
    sa.Column("code", sa.Text, primary_key=True),
    sa.Column("severity", sa.Text, nullable=False),  # watched (no finding yet), warning, error
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("remedy", sa.Text, nullable=False),
    sa.Column("details", sa.Text, nullable=False),  # JSON: which agents, which address; not for strangers
    _time("since"),
    _time("seen_at"),
    _time("told_at", nullable=True),  # when somebody was alerted
)


# Who looks, and what was looked at

users = sa.Table(
    "users",
    metadata,
    _id(primary_key=True),
    sa.Column("email", sa.Text, nullable=False),  # as users.folded_email spells it
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("password_hash", sa.Text, nullable=False),  # argon2id, with its parameters
    _time("password_set_at"),
    _time("signed_in_at", nullable=True),
    _time("created_at"),
    _time("updated_at"),
    sa.Index("ux_users_email", "email", unique=True),
)

memberships = sa.Table(
    "memberships",
    metadata,
    _id("user_id", primary_key=True),
    _id("org_id", primary_key=True),
    sa.Column("role", sa.Text, nullable=False),  # owner, manager, agent, auditor
    _time("created_at"),
    sa.Index("ix_memberships_org_id", "org_id"),
)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("token_hash", sa.String(64), primary_key=True),  # sha256 hex; the browser alone has the token
    _id("user_id"),
    _id("org_id", nullable=True),  # the organisation that is looked at; NULL: its user belongs to none
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("browser", sa.Text, nullable=False),  # its User-Agent, cut
    _time("created_at"),
    _time("seen_at"),  # to the minute or so
    _time("idle_until"),
    _time("ends_at"),  # however busy
    sa.Index("ix_sessions_user_id", "user_id"),
    sa.Index("ix_sessions_ends_at", "ends_at"),
)

invitations = sa.Table(  # links that let somebody in, each once
    "invitations",
    metadata,
    _id(primary_key=True),
    sa.Column("token_hash", sa.String(64), nullable=False),
    sa.Column("kind", sa.Text, nullable=False),  # setup: the first user; invitation; password: a forgotten one
    _id("org_id", nullable=True),  # invitation: to which organisation
    sa.Column("role", sa.Text),  # invitation: as what
    sa.Column("email", sa.Text),  # whom it is for; setup: NULL, whoever reads the log
    _id("invited_by", nullable=True),  # NULL: a command
    _time("created_at"),
    _time("expires_at"),
    _time("used_at", nullable=True),
    sa.Index("ux_invitations_token_hash", "token_hash", unique=True),
    sa.Index("ix_invitations_org_id", "org_id", "created_at"),
)

sign_in_attempts = sa.Table(  # those that failed, and those still in hand
    "sign_in_attempts",
    metadata,
    sa.Column("key", sa.String(64), primary_key=True),  # hash of an address or of an account
    sa.Column("tries", sa.Integer, nullable=False),
    _time("since"),
    sa.Index("ix_sign_in_attempts_since", "since"),
)

audit = sa.Table(  # triggers refuse to change or delete a row
    "audit",
    metadata,
    sa.Column("seq", _Seq, primary_key=True, autoincrement=True),
    _time("at"),
    _id("org_id", nullable=True),  # NULL: before it is known for which, as a sign-in that failed
    _id("user_id", nullable=True),  # NULL: nobody known, or a command
    sa.Column("who", sa.Text, nullable=False),  # the email address then; a user may be removed
    sa.Column("action", sa.Text, nullable=False),  # a key of store.audit.ACTIONS
    sa.Column("object_kind", sa.Text),  # call, recording, contact, user...
    sa.Column("object_id", sa.Text),
    sa.Column("details", sa.Text),  # JSON
    sa.Column("address", sa.Text, nullable=False),
    sa.Index("ix_audit_org_id_seq", "org_id", "seq"),
    sa.Index("ix_audit_user_id_action", "user_id", "action", "object_id", "at"),
    sqlite_autoincrement=True,
)


# What the dashboard keeps beside the calls

follow_ups = sa.Table(  # somebody waits for an answer
    "follow_ups",
    metadata,
    _id(primary_key=True),  # derived from what made it, so that a replay arrives at the same one; by hand: drawn
    _id("org_id"),
    _id("contact_id", nullable=True),
    sa.Column("number", sa.Text),  # E.164
    _id("call_id", nullable=True),
    _id("callback_id", nullable=True),
    sa.Column("kind", sa.Text, nullable=False),  # missed, failed, callback, handoff, manual
    sa.Column("reason", sa.Text),  # in the caller's or the provider's words
    sa.Column("status", sa.Text, nullable=False),  # open, snoozed, done: a person's, as all that follows
    _time("due_at"),
    _id("assigned_to", nullable=True),  # a user
    _time("snoozed_until", nullable=True),
    _time("done_at", nullable=True),
    _id("done_by", nullable=True),  # a user; NULL: closed by a later call
    sa.Column("note", sa.Text),
    _id("created_by", nullable=True),  # a user; NULL: a call
    _time("created_at"),
    _time("updated_at"),
    sa.Index("ix_follow_ups_org_id_status_due_at", "org_id", "status", "due_at", "id"),
    sa.Index("ix_follow_ups_org_id_created_at", "org_id", "created_at", "id"),
    sa.Index("ix_follow_ups_org_id_updated_at", "org_id", "updated_at", "id"),
    sa.Index("ix_follow_ups_org_id_number", "org_id", "number"),
    sa.Index("ix_follow_ups_assigned_to", "assigned_to", "status", "due_at"),
    sa.Index("ix_follow_ups_call_id", "call_id"),
    sa.Index("ix_follow_ups_contact_id", "contact_id"),
    sa.Index("ix_follow_ups_callback_id", "callback_id"),
)

recording_peaks = sa.Table(  # how loud a recording is, moment by moment
    "recording_peaks",
    metadata,
    _id("recording_id", primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),  # of the way they are counted
    sa.Column("peaks", sa.LargeBinary),  # NULL: it could not be decoded, and `failure` says why
    sa.Column("duration_s", sa.Double),
    sa.Column("failure", sa.Text),
    _time("created_at"),
)

derived = sa.MetaData(naming_convention=metadata.naming_convention)  #: made of the tables above, and in no backup

call_search = sa.Table(  # its words are in call_words under the same seq, which each engine has in its own way
    "call_search",
    derived,
    sa.Column("seq", _Seq, primary_key=True, autoincrement=True),
    _id("call_id"),
    _id("org_id"),
    _time("happened_at"),  # as of the call: what was found is put in order without reading a call
    sa.Column("words_hash", sa.String(24), nullable=False),  # what is indexed is written again only when it differs
    sa.Index("ux_call_search_call_id", "call_id", unique=True),
    sa.Index("ix_call_search_org_id_happened_at", "org_id", "happened_at", "call_id"),
    sqlite_autoincrement=True,
)
