-- What holds for all gateways of an organization, as it was signed last. The version only grows.
CREATE TABLE standing_terms (
    org_id     TEXT NOT NULL PRIMARY KEY REFERENCES orgs (org_id),
    version    INTEGER NOT NULL,
    digest     TEXT NOT NULL,
    document   BLOB NOT NULL,
    signature  BLOB NOT NULL,
    key_id     TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Which of them a gateway goes by, as it said last.
ALTER TABLE gateways ADD COLUMN terms_version INTEGER;
ALTER TABLE gateways ADD COLUMN list_version INTEGER;
