-- What holds for all gateways of an organization, as it was signed last. The version only grows.
CREATE TABLE standing_terms (
    org_id     TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES orgs (org_id),
    version    BIGINT NOT NULL,
    digest     TEXT COLLATE "C" NOT NULL,
    document   BYTEA NOT NULL,
    signature  BYTEA NOT NULL,
    key_id     TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL
);

-- Which of them a gateway goes by, as it said last.
ALTER TABLE gateways ADD COLUMN terms_version BIGINT;
ALTER TABLE gateways ADD COLUMN list_version BIGINT;

ALTER TABLE standing_terms ENABLE ROW LEVEL SECURITY;
ALTER TABLE standing_terms FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON standing_terms
    USING (org_id = current_setting('mcpg.org_id', true))
    WITH CHECK (org_id = current_setting('mcpg.org_id', true));
