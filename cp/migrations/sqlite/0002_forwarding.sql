-- How far each gateway's log has been taken over. A log is one instance's, whatever environments it is enrolled in: it is known by its key.
DROP TABLE audit_sources;
CREATE TABLE audit_sources (
    org_id     TEXT NOT NULL REFERENCES orgs (org_id),
    log        TEXT NOT NULL,
    public_key BLOB NOT NULL,
    gateway_id TEXT NOT NULL,
    seq        INTEGER NOT NULL,
    hash       BLOB NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (org_id, log)
) STRICT, WITHOUT ROWID;

-- Permitted calls whose outcome has not come yet: what it belongs to.
CREATE TABLE audit_calls (
    org_id      TEXT NOT NULL REFERENCES orgs (org_id),
    log         TEXT NOT NULL,
    request_id  TEXT NOT NULL,
    gateway_id  TEXT NOT NULL,
    workspace   TEXT NOT NULL,
    environment TEXT NOT NULL,
    hour        INTEGER NOT NULL,
    tool        TEXT NOT NULL,
    caller      TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (org_id, log, request_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX audit_calls_age ON audit_calls (org_id, created_at);
CREATE INDEX gateways_key ON gateways (org_id, public_key);
