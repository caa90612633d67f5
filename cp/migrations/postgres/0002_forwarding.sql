-- How far each gateway's log has been taken over. A log is one instance's, whatever environments it is enrolled in: it is known by its key.
DROP TABLE audit_sources;
CREATE TABLE audit_sources (
    org_id     TEXT COLLATE "C" NOT NULL REFERENCES orgs (org_id),
    log        TEXT COLLATE "C" NOT NULL,
    public_key BYTEA NOT NULL,
    gateway_id TEXT COLLATE "C" NOT NULL,
    seq        BIGINT NOT NULL,
    hash       BYTEA NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (org_id, log)
);

-- Permitted calls whose outcome has not come yet: what it belongs to.
CREATE TABLE audit_calls (
    org_id      TEXT COLLATE "C" NOT NULL REFERENCES orgs (org_id),
    log         TEXT COLLATE "C" NOT NULL,
    request_id  TEXT COLLATE "C" NOT NULL,
    gateway_id  TEXT COLLATE "C" NOT NULL,
    workspace   TEXT COLLATE "C" NOT NULL,
    environment TEXT COLLATE "C" NOT NULL,
    hour        BIGINT NOT NULL,
    tool        TEXT COLLATE "C" NOT NULL,
    caller      TEXT COLLATE "C" NOT NULL,
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (org_id, log, request_id)
);

CREATE INDEX audit_calls_age ON audit_calls (org_id, created_at);
CREATE INDEX gateways_key ON gateways (org_id, public_key);

ALTER TABLE audit_sources ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_sources FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON audit_sources
    USING (org_id = current_setting('mcpg.org_id', true))
    WITH CHECK (org_id = current_setting('mcpg.org_id', true));

ALTER TABLE audit_calls ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_calls FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON audit_calls
    USING (org_id = current_setting('mcpg.org_id', true))
    WITH CHECK (org_id = current_setting('mcpg.org_id', true));
