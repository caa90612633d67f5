-- The store's tables. Every table with `org_id` is an organization's, and row-level security admits that organization only:
-- the one in the setting `mcpg.org_id`, which a transaction sets first. References carry the organization, so that a
-- foreign id refers to nothing. Times are milliseconds since 1970, ids UUIDs of version 7, digests BLAKE3 in hexadecimal.

-- An organization. Its chain of audit rows is in audit_heads.
CREATE TABLE orgs (
    org_id       TEXT COLLATE "C" NOT NULL PRIMARY KEY CHECK (org_id <> ''),
    slug         TEXT COLLATE "C" NOT NULL UNIQUE,
    display_name TEXT NOT NULL,
    subdomain    TEXT COLLATE "C" UNIQUE CHECK (subdomain <> ''),
    sso          TEXT,
    licence      TEXT,
    version      BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL
);

CREATE TABLE workspaces (
    org_id       TEXT COLLATE "C" NOT NULL REFERENCES orgs (org_id),
    workspace_id TEXT COLLATE "C" NOT NULL,
    slug         TEXT COLLATE "C" NOT NULL,
    display_name TEXT NOT NULL,
    version      BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL,
    PRIMARY KEY (org_id, workspace_id),
    UNIQUE (org_id, slug)
);

-- `revision` is the number of the newest revision.
CREATE TABLE environments (
    org_id         TEXT COLLATE "C" NOT NULL,
    environment_id TEXT COLLATE "C" NOT NULL,
    workspace_id   TEXT COLLATE "C" NOT NULL,
    slug           TEXT COLLATE "C" NOT NULL,
    display_name   TEXT NOT NULL,
    revision       BIGINT NOT NULL,
    version        BIGINT NOT NULL,
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL,
    PRIMARY KEY (org_id, environment_id),
    UNIQUE (org_id, workspace_id, slug),
    FOREIGN KEY (org_id, workspace_id) REFERENCES workspaces (org_id, workspace_id)
);

-- `target` is the id of the node, or empty for the organization; it makes a grant unique.
CREATE TABLE role_bindings (
    org_id         TEXT COLLATE "C" NOT NULL REFERENCES orgs (org_id),
    binding_id     TEXT COLLATE "C" NOT NULL,
    member         TEXT COLLATE "C" NOT NULL,
    role           TEXT COLLATE "C" NOT NULL,
    target         TEXT COLLATE "C" NOT NULL,
    workspace_id   TEXT COLLATE "C",
    environment_id TEXT COLLATE "C",
    created_by     TEXT NOT NULL,
    created_at     BIGINT NOT NULL,
    PRIMARY KEY (org_id, binding_id),
    UNIQUE (org_id, member, role, target),
    CHECK (target = coalesce(environment_id, workspace_id, '')),
    FOREIGN KEY (org_id, workspace_id) REFERENCES workspaces (org_id, workspace_id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, environment_id) REFERENCES environments (org_id, environment_id) ON DELETE CASCADE
);

-- `hash` is a keyed hash of the secret, as hexadecimal.
CREATE TABLE api_tokens (
    org_id         TEXT COLLATE "C" NOT NULL REFERENCES orgs (org_id),
    token_id       TEXT COLLATE "C" NOT NULL,
    name           TEXT NOT NULL,
    hash           TEXT COLLATE "C" NOT NULL UNIQUE CHECK (hash <> ''),
    kind           TEXT COLLATE "C" NOT NULL,
    role           TEXT COLLATE "C" NOT NULL,
    workspace_id   TEXT COLLATE "C",
    environment_id TEXT COLLATE "C",
    member         TEXT COLLATE "C",
    created_by     TEXT NOT NULL,
    created_at     BIGINT NOT NULL,
    expires_at     BIGINT NOT NULL,
    last_used_at   BIGINT,
    revoked_at     BIGINT,
    PRIMARY KEY (org_id, token_id),
    FOREIGN KEY (org_id, workspace_id) REFERENCES workspaces (org_id, workspace_id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, environment_id) REFERENCES environments (org_id, environment_id) ON DELETE CASCADE
);

-- Named documents with versions, of a workspace. The row of a deleted one stays, so that versions never begin again.
CREATE TABLE plugin_sets (
    org_id     TEXT COLLATE "C" NOT NULL,
    parent_id  TEXT COLLATE "C" NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    current    BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    deleted_at BIGINT,
    PRIMARY KEY (org_id, parent_id, name),
    FOREIGN KEY (org_id, parent_id) REFERENCES workspaces (org_id, workspace_id) ON DELETE CASCADE
);

CREATE TABLE plugin_set_versions (
    org_id     TEXT COLLATE "C" NOT NULL,
    parent_id  TEXT COLLATE "C" NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    version    BIGINT NOT NULL,
    digest     TEXT COLLATE "C" NOT NULL,
    media      TEXT COLLATE "C" NOT NULL,
    document   BYTEA NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (org_id, parent_id, name, version),
    FOREIGN KEY (org_id, parent_id, name) REFERENCES plugin_sets (org_id, parent_id, name) ON DELETE CASCADE
);

-- The same, of one workspace.
CREATE TABLE policies (
    org_id     TEXT COLLATE "C" NOT NULL,
    parent_id  TEXT COLLATE "C" NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    current    BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    deleted_at BIGINT,
    PRIMARY KEY (org_id, parent_id, name),
    FOREIGN KEY (org_id, parent_id) REFERENCES workspaces (org_id, workspace_id) ON DELETE CASCADE
);

CREATE TABLE policy_versions (
    org_id     TEXT COLLATE "C" NOT NULL,
    parent_id  TEXT COLLATE "C" NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    version    BIGINT NOT NULL,
    digest     TEXT COLLATE "C" NOT NULL,
    media      TEXT COLLATE "C" NOT NULL,
    document   BYTEA NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (org_id, parent_id, name, version),
    FOREIGN KEY (org_id, parent_id, name) REFERENCES policies (org_id, parent_id, name) ON DELETE CASCADE
);

-- The same, of one environment.
CREATE TABLE gateway_configs (
    org_id     TEXT COLLATE "C" NOT NULL,
    parent_id  TEXT COLLATE "C" NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    current    BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    deleted_at BIGINT,
    PRIMARY KEY (org_id, parent_id, name),
    FOREIGN KEY (org_id, parent_id) REFERENCES environments (org_id, environment_id) ON DELETE CASCADE
);

CREATE TABLE gateway_config_versions (
    org_id     TEXT COLLATE "C" NOT NULL,
    parent_id  TEXT COLLATE "C" NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    version    BIGINT NOT NULL,
    digest     TEXT COLLATE "C" NOT NULL,
    media      TEXT COLLATE "C" NOT NULL,
    document   BYTEA NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (org_id, parent_id, name, version),
    FOREIGN KEY (org_id, parent_id, name) REFERENCES gateway_configs (org_id, parent_id, name) ON DELETE CASCADE
);

-- Where a secret is to be had; never the secret.
CREATE TABLE secret_references (
    org_id       TEXT COLLATE "C" NOT NULL,
    workspace_id TEXT COLLATE "C" NOT NULL,
    name         TEXT COLLATE "C" NOT NULL,
    uri          TEXT NOT NULL,
    version      BIGINT NOT NULL,
    created_by   TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL,
    PRIMARY KEY (org_id, workspace_id, name),
    FOREIGN KEY (org_id, workspace_id) REFERENCES workspaces (org_id, workspace_id) ON DELETE CASCADE
);

-- The newest version is in force.
CREATE TABLE revocation_lists (
    org_id     TEXT COLLATE "C" NOT NULL REFERENCES orgs (org_id),
    version    BIGINT NOT NULL,
    digest     TEXT COLLATE "C" NOT NULL,
    document   BYTEA NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (org_id, version)
);

CREATE TABLE gateways (
    org_id           TEXT COLLATE "C" NOT NULL,
    gateway_id       TEXT COLLATE "C" NOT NULL UNIQUE CHECK (gateway_id <> ''),
    environment_id   TEXT COLLATE "C" NOT NULL,
    name             TEXT COLLATE "C" NOT NULL,
    public_key       BYTEA NOT NULL,
    labels           TEXT NOT NULL,
    software         TEXT NOT NULL,
    status           TEXT,
    last_seen_at     BIGINT,
    applied_revision BIGINT,
    enrolled_by      TEXT NOT NULL,
    created_at       BIGINT NOT NULL,
    retired_at       BIGINT,
    PRIMARY KEY (org_id, gateway_id),
    FOREIGN KEY (org_id, environment_id) REFERENCES environments (org_id, environment_id) ON DELETE CASCADE
);

-- Each enrols one gateway, once.
CREATE TABLE enrollment_tokens (
    org_id         TEXT COLLATE "C" NOT NULL,
    token_id       TEXT COLLATE "C" NOT NULL,
    environment_id TEXT COLLATE "C" NOT NULL,
    hash           TEXT COLLATE "C" NOT NULL UNIQUE CHECK (hash <> ''),
    labels         TEXT NOT NULL,
    created_by     TEXT NOT NULL,
    created_at     BIGINT NOT NULL,
    expires_at     BIGINT NOT NULL,
    used_at        BIGINT,
    gateway_id     TEXT COLLATE "C",
    PRIMARY KEY (org_id, token_id),
    FOREIGN KEY (org_id, environment_id) REFERENCES environments (org_id, environment_id) ON DELETE CASCADE
);

-- `rollback_of` is the number whose document is published again.
CREATE TABLE revisions (
    org_id         TEXT COLLATE "C" NOT NULL,
    environment_id TEXT COLLATE "C" NOT NULL,
    number         BIGINT NOT NULL,
    digest         TEXT COLLATE "C" NOT NULL,
    document       BYTEA NOT NULL,
    signature      BYTEA NOT NULL,
    key_id         TEXT COLLATE "C" NOT NULL,
    note           TEXT NOT NULL,
    rollback_of    BIGINT,
    created_by     TEXT NOT NULL,
    created_at     BIGINT NOT NULL,
    PRIMARY KEY (org_id, environment_id, number),
    FOREIGN KEY (org_id, environment_id) REFERENCES environments (org_id, environment_id) ON DELETE CASCADE
);

-- Who gets a revision. One without a rollout is for everybody.
CREATE TABLE rollouts (
    org_id         TEXT COLLATE "C" NOT NULL,
    environment_id TEXT COLLATE "C" NOT NULL,
    number         BIGINT NOT NULL,
    stage          TEXT NOT NULL,
    state          TEXT COLLATE "C" NOT NULL,
    version        BIGINT NOT NULL,
    created_by     TEXT NOT NULL,
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL,
    PRIMARY KEY (org_id, environment_id, number),
    FOREIGN KEY (org_id, environment_id, number) REFERENCES revisions (org_id, environment_id, number) ON DELETE CASCADE
);

-- What a gateway made of a revision.
CREATE TABLE acknowledgements (
    org_id         TEXT COLLATE "C" NOT NULL,
    environment_id TEXT COLLATE "C" NOT NULL,
    number         BIGINT NOT NULL,
    gateway_id     TEXT COLLATE "C" NOT NULL,
    result         TEXT COLLATE "C" NOT NULL,
    reason         TEXT,
    created_at     BIGINT NOT NULL,
    PRIMARY KEY (org_id, environment_id, number, gateway_id),
    FOREIGN KEY (org_id, environment_id, number) REFERENCES revisions (org_id, environment_id, number) ON DELETE CASCADE,
    FOREIGN KEY (org_id, gateway_id) REFERENCES gateways (org_id, gateway_id) ON DELETE CASCADE
);

-- The end of an organization's chain, and, after a removal by retention, the row before its beginning.
CREATE TABLE audit_heads (
    org_id          TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES orgs (org_id),
    chain           BYTEA NOT NULL,
    seq             BIGINT NOT NULL,
    hash            BYTEA NOT NULL,
    last_checkpoint BYTEA NOT NULL,
    checkpoint_seq  BIGINT NOT NULL,
    anchor_seq      BIGINT NOT NULL,
    anchor_hash     BYTEA NOT NULL,
    anchor_checkpoint BYTEA NOT NULL
);

-- `row` has the bytes that are hashed; the other columns are read from it, for searching. Slugs and not ids: rows outlive what they are about.
CREATE TABLE audit_rows (
    org_id      TEXT COLLATE "C" NOT NULL REFERENCES orgs (org_id),
    seq         BIGINT NOT NULL,
    hash        BYTEA NOT NULL,
    time        BIGINT NOT NULL,
    kind        TEXT COLLATE "C" NOT NULL,
    workspace   TEXT COLLATE "C",
    environment TEXT COLLATE "C",
    gateway_id  TEXT COLLATE "C",
    subject     TEXT COLLATE "C",
    target      TEXT COLLATE "C",
    verdict     TEXT COLLATE "C",
    row         BYTEA NOT NULL,
    PRIMARY KEY (org_id, seq)
);

-- How far each log of each gateway has been taken over.
CREATE TABLE audit_sources (
    org_id     TEXT COLLATE "C" NOT NULL REFERENCES orgs (org_id),
    gateway_id TEXT COLLATE "C" NOT NULL,
    log        TEXT COLLATE "C" NOT NULL,
    seq        BIGINT NOT NULL,
    hash       BYTEA NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (org_id, gateway_id, log)
);

-- Signed heads. They stay when retention removes the rows.
CREATE TABLE audit_checkpoints (
    org_id     TEXT COLLATE "C" NOT NULL REFERENCES orgs (org_id),
    seq        BIGINT NOT NULL,
    hash       BYTEA NOT NULL,
    row        BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (org_id, seq)
);

CREATE TABLE usage_hours (
    org_id      TEXT COLLATE "C" NOT NULL REFERENCES orgs (org_id),
    hour        BIGINT NOT NULL,
    workspace   TEXT COLLATE "C" NOT NULL,
    environment TEXT COLLATE "C" NOT NULL,
    tool        TEXT COLLATE "C" NOT NULL,
    caller      TEXT COLLATE "C" NOT NULL,
    calls       BIGINT NOT NULL,
    denied      BIGINT NOT NULL,
    failed      BIGINT NOT NULL,
    bytes       BIGINT NOT NULL,
    duration_us BIGINT NOT NULL,
    PRIMARY KEY (org_id, hour, workspace, environment, tool, caller)
);

-- A key without a status is claimed: its request is under way.
CREATE TABLE idempotency_keys (
    org_id     TEXT COLLATE "C" NOT NULL REFERENCES orgs (org_id),
    owner      TEXT COLLATE "C" NOT NULL,
    key        TEXT COLLATE "C" NOT NULL,
    request    TEXT COLLATE "C" NOT NULL,
    claim      TEXT COLLATE "C" NOT NULL,
    claimed_at BIGINT NOT NULL,
    status     BIGINT,
    body       BYTEA,
    PRIMARY KEY (org_id, owner, key)
);

-- Sign-ins that are under way at an identity provider.
CREATE TABLE sign_ins (
    org_id     TEXT COLLATE "C" NOT NULL REFERENCES orgs (org_id),
    state_hash TEXT COLLATE "C" NOT NULL UNIQUE CHECK (state_hash <> ''),
    details    TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (org_id, state_hash)
);

-- Tokens of the platform itself: of no organization.
CREATE TABLE platform_tokens (
    token_id   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name       TEXT NOT NULL,
    hash       TEXT COLLATE "C" NOT NULL UNIQUE CHECK (hash <> ''),
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT
);

-- Work that one replica does at a time. `token` grows with every change of hands.
CREATE TABLE leases (
    name       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    holder     TEXT COLLATE "C" NOT NULL,
    token      BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

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

ALTER TABLE orgs ENABLE ROW LEVEL SECURITY;
ALTER TABLE orgs FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON orgs
    USING (org_id = current_setting('mcpg.org_id', true))
    WITH CHECK (org_id = current_setting('mcpg.org_id', true));

ALTER TABLE workspaces ENABLE ROW LEVEL SECURITY;
ALTER TABLE workspaces FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON workspaces
    USING (org_id = current_setting('mcpg.org_id', true))
    WITH CHECK (org_id = current_setting('mcpg.org_id', true));

ALTER TABLE environments ENABLE ROW LEVEL SECURITY;
ALTER TABLE environments FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON environments
    USING (org_id = current_setting('mcpg.org_id', true))
    WITH CHECK (org_id = current_setting('mcpg.org_id', true));

ALTER TABLE role_bindings ENABLE ROW LEVEL SECURITY;
ALTER TABLE role_bindings FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON role_bindings
    USING (org_id = current_setting('mcpg.org_id', true))
    WITH CHECK (org_id = current_setting('mcpg.org_id', true));

ALTER TABLE api_tokens ENABLE ROW LEVEL SECURITY;
ALTER TABLE api_tokens FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON api_tokens
    USING (org_id = current_setting('mcpg.org_id', true))
    WITH CHECK (org_id = current_setting('mcpg.org_id', true));

ALTER TABLE plugin_sets ENABLE ROW LEVEL SECURITY;
ALTER TABLE plugin_sets FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON plugin_sets
    USING (org_id = current_setting('mcpg.org_id', true))
    WITH CHECK (org_id = current_setting('mcpg.org_id', true));

ALTER TABLE plugin_set_versions ENABLE ROW LEVEL SECURITY;
ALTER TABLE plugin_set_versions FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON plugin_set_versions
    USING (org_id = current_setting('mcpg.org_id', true))
    WITH CHECK (org_id = current_setting('mcpg.org_id', true));

ALTER TABLE policies ENABLE ROW LEVEL SECURITY;
ALTER TABLE policies FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON policies
    USING (org_id = current_setting('mcpg.org_id', true))
    WITH CHECK (org_id = current_setting('mcpg.org_id', true));

ALTER TABLE policy_versions ENABLE ROW LEVEL SECURITY;
ALTER TABLE policy_versions FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON policy_versions
    USING (org_id = current_setting('mcpg.org_id', true))
    WITH CHECK (org_id = current_setting('mcpg.org_id', true));

ALTER TABLE gateway_configs ENABLE ROW LEVEL SECURITY;
ALTER TABLE gateway_configs FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON gateway_configs
    USING (org_id = current_setting('mcpg.org_id', true))
    WITH CHECK (org_id = current_setting('mcpg.org_id', true));

ALTER TABLE gateway_config_versions ENABLE ROW LEVEL SECURITY;
ALTER TABLE gateway_config_versions FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON gateway_config_versions
    USING (org_id = current_setting('mcpg.org_id', true))
    WITH CHECK (org_id = current_setting('mcpg.org_id', true));

ALTER TABLE secret_references ENABLE ROW LEVEL SECURITY;
ALTER TABLE secret_references FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON secret_references
    USING (org_id = current_setting('mcpg.org_id', true))
    WITH CHECK (org_id = current_setting('mcpg.org_id', true));

ALTER TABLE revocation_lists ENABLE ROW LEVEL SECURITY;
ALTER TABLE revocation_lists FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON revocation_lists
    USING (org_id = current_setting('mcpg.org_id', true))
    WITH CHECK (org_id = current_setting('mcpg.org_id', true));

ALTER TABLE gateways ENABLE ROW LEVEL SECURITY;
ALTER TABLE gateways FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON gateways
    USING (org_id = current_setting('mcpg.org_id', true))
    WITH CHECK (org_id = current_setting('mcpg.org_id', true));

ALTER TABLE enrollment_tokens ENABLE ROW LEVEL SECURITY;
ALTER TABLE enrollment_tokens FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON enrollment_tokens
    USING (org_id = current_setting('mcpg.org_id', true))
    WITH CHECK (org_id = current_setting('mcpg.org_id', true));

ALTER TABLE revisions ENABLE ROW LEVEL SECURITY;
ALTER TABLE revisions FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON revisions
    USING (org_id = current_setting('mcpg.org_id', true))
    WITH CHECK (org_id = current_setting('mcpg.org_id', true));

ALTER TABLE rollouts ENABLE ROW LEVEL SECURITY;
ALTER TABLE rollouts FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON rollouts
    USING (org_id = current_setting('mcpg.org_id', true))
    WITH CHECK (org_id = current_setting('mcpg.org_id', true));

ALTER TABLE acknowledgements ENABLE ROW LEVEL SECURITY;
ALTER TABLE acknowledgements FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON acknowledgements
    USING (org_id = current_setting('mcpg.org_id', true))
    WITH CHECK (org_id = current_setting('mcpg.org_id', true));

ALTER TABLE audit_heads ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_heads FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON audit_heads
    USING (org_id = current_setting('mcpg.org_id', true))
    WITH CHECK (org_id = current_setting('mcpg.org_id', true));

ALTER TABLE audit_rows ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_rows FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON audit_rows
    USING (org_id = current_setting('mcpg.org_id', true))
    WITH CHECK (org_id = current_setting('mcpg.org_id', true));

ALTER TABLE audit_sources ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_sources FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON audit_sources
    USING (org_id = current_setting('mcpg.org_id', true))
    WITH CHECK (org_id = current_setting('mcpg.org_id', true));

ALTER TABLE audit_checkpoints ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_checkpoints FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON audit_checkpoints
    USING (org_id = current_setting('mcpg.org_id', true))
    WITH CHECK (org_id = current_setting('mcpg.org_id', true));

ALTER TABLE usage_hours ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage_hours FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON usage_hours
    USING (org_id = current_setting('mcpg.org_id', true))
    WITH CHECK (org_id = current_setting('mcpg.org_id', true));

ALTER TABLE idempotency_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE idempotency_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON idempotency_keys
    USING (org_id = current_setting('mcpg.org_id', true))
    WITH CHECK (org_id = current_setting('mcpg.org_id', true));

ALTER TABLE sign_ins ENABLE ROW LEVEL SECURITY;
ALTER TABLE sign_ins FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON sign_ins
    USING (org_id = current_setting('mcpg.org_id', true))
    WITH CHECK (org_id = current_setting('mcpg.org_id', true));

-- Organizations can be listed and made by the platform, which is a setting of its own.
CREATE POLICY platform ON orgs
    USING (current_setting('mcpg.platform', true) = 'on')
    WITH CHECK (current_setting('mcpg.platform', true) = 'on');

ALTER TABLE platform_tokens ENABLE ROW LEVEL SECURITY;
ALTER TABLE platform_tokens FORCE ROW LEVEL SECURITY;
CREATE POLICY platform ON platform_tokens
    USING (current_setting('mcpg.platform', true) = 'on')
    WITH CHECK (current_setting('mcpg.platform', true) = 'on');

-- Before the organization is known, exactly the row whose key was presented can be read. The kind of key is part of it,
-- so that a key of one kind never opens a row of another.
CREATE POLICY lookup_slug ON orgs FOR SELECT
    USING ('slug:' || slug = current_setting('mcpg.lookup', true));
CREATE POLICY lookup_subdomain ON orgs FOR SELECT
    USING ('subdomain:' || subdomain = current_setting('mcpg.lookup', true));
CREATE POLICY lookup_token ON api_tokens FOR SELECT
    USING ('token:' || hash = current_setting('mcpg.lookup', true));
CREATE POLICY lookup_gateway ON gateways FOR SELECT
    USING ('gateway:' || gateway_id = current_setting('mcpg.lookup', true));
CREATE POLICY lookup_enrol ON enrollment_tokens FOR SELECT
    USING ('enrol:' || hash = current_setting('mcpg.lookup', true));
CREATE POLICY lookup_sign_in ON sign_ins FOR SELECT
    USING ('sign-in:' || state_hash = current_setting('mcpg.lookup', true));
CREATE POLICY lookup_platform_token ON platform_tokens FOR SELECT
    USING ('platform-token:' || hash = current_setting('mcpg.lookup', true));
