-- The store's tables on SQLite: those of PostgreSQL without row-level security, which SQLite does not have. The scoped handle names
-- the organization in every statement. Times are milliseconds since 1970, ids UUIDs of version 7, digests BLAKE3 in hexadecimal.

-- An organization. Its chain of audit rows is in audit_heads.
CREATE TABLE orgs (
    org_id       TEXT NOT NULL PRIMARY KEY CHECK (org_id <> ''),
    slug         TEXT NOT NULL UNIQUE,
    display_name TEXT NOT NULL,
    subdomain    TEXT UNIQUE CHECK (subdomain <> ''),
    sso          TEXT,
    licence      TEXT,
    version      INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE workspaces (
    org_id       TEXT NOT NULL REFERENCES orgs (org_id),
    workspace_id TEXT NOT NULL,
    slug         TEXT NOT NULL,
    display_name TEXT NOT NULL,
    version      INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    PRIMARY KEY (org_id, workspace_id),
    UNIQUE (org_id, slug)
) STRICT, WITHOUT ROWID;

-- `revision` is the number of the newest revision.
CREATE TABLE environments (
    org_id         TEXT NOT NULL,
    environment_id TEXT NOT NULL,
    workspace_id   TEXT NOT NULL,
    slug           TEXT NOT NULL,
    display_name   TEXT NOT NULL,
    revision       INTEGER NOT NULL,
    version        INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    PRIMARY KEY (org_id, environment_id),
    UNIQUE (org_id, workspace_id, slug),
    FOREIGN KEY (org_id, workspace_id) REFERENCES workspaces (org_id, workspace_id)
) STRICT, WITHOUT ROWID;

-- `target` is the id of the node, or empty for the organization; it makes a grant unique.
CREATE TABLE role_bindings (
    org_id         TEXT NOT NULL REFERENCES orgs (org_id),
    binding_id     TEXT NOT NULL,
    member         TEXT NOT NULL,
    role           TEXT NOT NULL,
    target         TEXT NOT NULL,
    workspace_id   TEXT,
    environment_id TEXT,
    created_by     TEXT NOT NULL,
    created_at     INTEGER NOT NULL,
    PRIMARY KEY (org_id, binding_id),
    UNIQUE (org_id, member, role, target),
    CHECK (target = coalesce(environment_id, workspace_id, '')),
    FOREIGN KEY (org_id, workspace_id) REFERENCES workspaces (org_id, workspace_id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, environment_id) REFERENCES environments (org_id, environment_id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- `hash` is a keyed hash of the secret, as hexadecimal.
CREATE TABLE api_tokens (
    org_id         TEXT NOT NULL REFERENCES orgs (org_id),
    token_id       TEXT NOT NULL,
    name           TEXT NOT NULL,
    hash           TEXT NOT NULL UNIQUE CHECK (hash <> ''),
    kind           TEXT NOT NULL,
    role           TEXT NOT NULL,
    workspace_id   TEXT,
    environment_id TEXT,
    member         TEXT,
    created_by     TEXT NOT NULL,
    created_at     INTEGER NOT NULL,
    expires_at     INTEGER NOT NULL,
    last_used_at   INTEGER,
    revoked_at     INTEGER,
    PRIMARY KEY (org_id, token_id),
    FOREIGN KEY (org_id, workspace_id) REFERENCES workspaces (org_id, workspace_id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, environment_id) REFERENCES environments (org_id, environment_id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- Named documents with versions, of a workspace. The row of a deleted one stays, so that versions never begin again.
CREATE TABLE plugin_sets (
    org_id     TEXT NOT NULL,
    parent_id  TEXT NOT NULL,
    name       TEXT NOT NULL,
    current    INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    deleted_at INTEGER,
    PRIMARY KEY (org_id, parent_id, name),
    FOREIGN KEY (org_id, parent_id) REFERENCES workspaces (org_id, workspace_id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE plugin_set_versions (
    org_id     TEXT NOT NULL,
    parent_id  TEXT NOT NULL,
    name       TEXT NOT NULL,
    version    INTEGER NOT NULL,
    digest     TEXT NOT NULL,
    media      TEXT NOT NULL,
    document   BLOB NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (org_id, parent_id, name, version),
    FOREIGN KEY (org_id, parent_id, name) REFERENCES plugin_sets (org_id, parent_id, name) ON DELETE CASCADE
) STRICT;

-- The same, of one workspace.
CREATE TABLE policies (
    org_id     TEXT NOT NULL,
    parent_id  TEXT NOT NULL,
    name       TEXT NOT NULL,
    current    INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    deleted_at INTEGER,
    PRIMARY KEY (org_id, parent_id, name),
    FOREIGN KEY (org_id, parent_id) REFERENCES workspaces (org_id, workspace_id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE policy_versions (
    org_id     TEXT NOT NULL,
    parent_id  TEXT NOT NULL,
    name       TEXT NOT NULL,
    version    INTEGER NOT NULL,
    digest     TEXT NOT NULL,
    media      TEXT NOT NULL,
    document   BLOB NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (org_id, parent_id, name, version),
    FOREIGN KEY (org_id, parent_id, name) REFERENCES policies (org_id, parent_id, name) ON DELETE CASCADE
) STRICT;

-- The same, of one environment.
CREATE TABLE gateway_configs (
    org_id     TEXT NOT NULL,
    parent_id  TEXT NOT NULL,
    name       TEXT NOT NULL,
    current    INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    deleted_at INTEGER,
    PRIMARY KEY (org_id, parent_id, name),
    FOREIGN KEY (org_id, parent_id) REFERENCES environments (org_id, environment_id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE gateway_config_versions (
    org_id     TEXT NOT NULL,
    parent_id  TEXT NOT NULL,
    name       TEXT NOT NULL,
    version    INTEGER NOT NULL,
    digest     TEXT NOT NULL,
    media      TEXT NOT NULL,
    document   BLOB NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (org_id, parent_id, name, version),
    FOREIGN KEY (org_id, parent_id, name) REFERENCES gateway_configs (org_id, parent_id, name) ON DELETE CASCADE
) STRICT;

-- Where a secret is to be had; never the secret.
CREATE TABLE secret_references (
    org_id       TEXT NOT NULL,
    workspace_id TEXT NOT NULL,
    name         TEXT NOT NULL,
    uri          TEXT NOT NULL,
    version      INTEGER NOT NULL,
    created_by   TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    PRIMARY KEY (org_id, workspace_id, name),
    FOREIGN KEY (org_id, workspace_id) REFERENCES workspaces (org_id, workspace_id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- The newest version is in force.
CREATE TABLE revocation_lists (
    org_id     TEXT NOT NULL REFERENCES orgs (org_id),
    version    INTEGER NOT NULL,
    digest     TEXT NOT NULL,
    document   BLOB NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (org_id, version)
) STRICT;

CREATE TABLE gateways (
    org_id           TEXT NOT NULL,
    gateway_id       TEXT NOT NULL UNIQUE CHECK (gateway_id <> ''),
    environment_id   TEXT NOT NULL,
    name             TEXT NOT NULL,
    public_key       BLOB NOT NULL,
    labels           TEXT NOT NULL,
    software         TEXT NOT NULL,
    status           TEXT,
    last_seen_at     INTEGER,
    applied_revision INTEGER,
    enrolled_by      TEXT NOT NULL,
    created_at       INTEGER NOT NULL,
    retired_at       INTEGER,
    PRIMARY KEY (org_id, gateway_id),
    FOREIGN KEY (org_id, environment_id) REFERENCES environments (org_id, environment_id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- Each enrols one gateway, once.
CREATE TABLE enrollment_tokens (
    org_id         TEXT NOT NULL,
    token_id       TEXT NOT NULL,
    environment_id TEXT NOT NULL,
    hash           TEXT NOT NULL UNIQUE CHECK (hash <> ''),
    labels         TEXT NOT NULL,
    created_by     TEXT NOT NULL,
    created_at     INTEGER NOT NULL,
    expires_at     INTEGER NOT NULL,
    used_at        INTEGER,
    gateway_id     TEXT,
    PRIMARY KEY (org_id, token_id),
    FOREIGN KEY (org_id, environment_id) REFERENCES environments (org_id, environment_id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- `rollback_of` is the number whose document is published again.
CREATE TABLE revisions (
    org_id         TEXT NOT NULL,
    environment_id TEXT NOT NULL,
    number         INTEGER NOT NULL,
    digest         TEXT NOT NULL,
    document       BLOB NOT NULL,
    signature      BLOB NOT NULL,
    key_id         TEXT NOT NULL,
    note           TEXT NOT NULL,
    rollback_of    INTEGER,
    created_by     TEXT NOT NULL,
    created_at     INTEGER NOT NULL,
    PRIMARY KEY (org_id, environment_id, number),
    FOREIGN KEY (org_id, environment_id) REFERENCES environments (org_id, environment_id) ON DELETE CASCADE
) STRICT;

-- Who gets a revision. One without a rollout is for everybody.
CREATE TABLE rollouts (
    org_id         TEXT NOT NULL,
    environment_id TEXT NOT NULL,
    number         INTEGER NOT NULL,
    stage          TEXT NOT NULL,
    state          TEXT NOT NULL,
    version        INTEGER NOT NULL,
    created_by     TEXT NOT NULL,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    PRIMARY KEY (org_id, environment_id, number),
    FOREIGN KEY (org_id, environment_id, number) REFERENCES revisions (org_id, environment_id, number) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- What a gateway made of a revision.
CREATE TABLE acknowledgements (
    org_id         TEXT NOT NULL,
    environment_id TEXT NOT NULL,
    number         INTEGER NOT NULL,
    gateway_id     TEXT NOT NULL,
    result         TEXT NOT NULL,
    reason         TEXT,
    created_at     INTEGER NOT NULL,
    PRIMARY KEY (org_id, environment_id, number, gateway_id),
    FOREIGN KEY (org_id, environment_id, number) REFERENCES revisions (org_id, environment_id, number) ON DELETE CASCADE,
    FOREIGN KEY (org_id, gateway_id) REFERENCES gateways (org_id, gateway_id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- The end of an organization's chain, and, after a removal by retention, the row before its beginning.
CREATE TABLE audit_heads (
    org_id          TEXT NOT NULL PRIMARY KEY REFERENCES orgs (org_id),
    chain           BLOB NOT NULL,
    seq             INTEGER NOT NULL,
    hash            BLOB NOT NULL,
    last_checkpoint BLOB NOT NULL,
    checkpoint_seq  INTEGER NOT NULL,
    anchor_seq      INTEGER NOT NULL,
    anchor_hash     BLOB NOT NULL,
    anchor_checkpoint BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- `row` has the bytes that are hashed; the other columns are read from it, for searching. Slugs and not ids: rows outlive what they are about.
CREATE TABLE audit_rows (
    org_id      TEXT NOT NULL REFERENCES orgs (org_id),
    seq         INTEGER NOT NULL,
    hash        BLOB NOT NULL,
    time        INTEGER NOT NULL,
    kind        TEXT NOT NULL,
    workspace   TEXT,
    environment TEXT,
    gateway_id  TEXT,
    subject     TEXT,
    target      TEXT,
    verdict     TEXT,
    row         BLOB NOT NULL,
    PRIMARY KEY (org_id, seq)
) STRICT;

-- How far each log of each gateway has been taken over.
CREATE TABLE audit_sources (
    org_id     TEXT NOT NULL REFERENCES orgs (org_id),
    gateway_id TEXT NOT NULL,
    log        TEXT NOT NULL,
    seq        INTEGER NOT NULL,
    hash       BLOB NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (org_id, gateway_id, log)
) STRICT, WITHOUT ROWID;

-- Signed heads. They stay when retention removes the rows.
CREATE TABLE audit_checkpoints (
    org_id     TEXT NOT NULL REFERENCES orgs (org_id),
    seq        INTEGER NOT NULL,
    hash       BLOB NOT NULL,
    row        BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (org_id, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage_hours (
    org_id      TEXT NOT NULL REFERENCES orgs (org_id),
    hour        INTEGER NOT NULL,
    workspace   TEXT NOT NULL,
    environment TEXT NOT NULL,
    tool        TEXT NOT NULL,
    caller      TEXT NOT NULL,
    calls       INTEGER NOT NULL,
    denied      INTEGER NOT NULL,
    failed      INTEGER NOT NULL,
    bytes       INTEGER NOT NULL,
    duration_us INTEGER NOT NULL,
    PRIMARY KEY (org_id, hour, workspace, environment, tool, caller)
) STRICT, WITHOUT ROWID;

-- A key without a status is claimed: its request is under way.
CREATE TABLE idempotency_keys (
    org_id     TEXT NOT NULL REFERENCES orgs (org_id),
    owner      TEXT NOT NULL,
    key        TEXT NOT NULL,
    request    TEXT NOT NULL,
    claim      TEXT NOT NULL,
    claimed_at INTEGER NOT NULL,
    status     INTEGER,
    body       BLOB,
    PRIMARY KEY (org_id, owner, key)
) STRICT, WITHOUT ROWID;

-- Sign-ins that are under way at an identity provider.
CREATE TABLE sign_ins (
    org_id     TEXT NOT NULL REFERENCES orgs (org_id),
    state_hash TEXT NOT NULL UNIQUE CHECK (state_hash <> ''),
    details    TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (org_id, state_hash)
) STRICT, WITHOUT ROWID;

-- Tokens of the platform itself: of no organization.
CREATE TABLE platform_tokens (
    token_id   TEXT NOT NULL PRIMARY KEY,
    name       TEXT NOT NULL,
    hash       TEXT NOT NULL UNIQUE CHECK (hash <> ''),
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;

-- Work that one replica does at a time. `token` grows with every change of hands.
CREATE TABLE leases (
    name       TEXT NOT NULL PRIMARY KEY,
    holder     TEXT NOT NULL,
    token      INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The name of a retired gateway is free again.
CREATE UNIQUE INDEX gateways_name ON gateways (org_id, environment_id, name) WHERE retired_at IS NULL;

CREATE INDEX role_bindings_member ON role_bindings (org_id, member);
CREATE INDEX role_bindings_workspace ON role_bindings (org_id, workspace_id);
CREATE INDEX role_bindings_environment ON role_bindings (org_id, environment_id);
CREATE INDEX api_tokens_workspace ON api_tokens (org_id, workspace_id);
CREATE INDEX api_tokens_environment ON api_tokens (org_id, environment_id);
CREATE INDEX gateways_environment ON gateways (org_id, environment_id, gateway_id);
CREATE INDEX enrollment_tokens_environment ON enrollment_tokens (org_id, environment_id, token_id);
CREATE INDEX acknowledgements_gateway ON acknowledgements (org_id, gateway_id);
CREATE INDEX audit_rows_scope ON audit_rows (org_id, workspace, environment, seq);
CREATE INDEX audit_rows_subject ON audit_rows (org_id, subject, seq) WHERE subject IS NOT NULL;
CREATE INDEX audit_rows_time ON audit_rows (org_id, time);
CREATE INDEX idempotency_keys_age ON idempotency_keys (org_id, claimed_at);
CREATE INDEX sign_ins_age ON sign_ins (org_id, expires_at);
