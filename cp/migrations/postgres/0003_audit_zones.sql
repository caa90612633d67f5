-- What stretches of 1,024 rows have, by where they belong: rows are searched through it, so that what cannot have a row is not read. `traits` has a bit for
-- each kind and verdict (cp/src/store/audit/zones.rs); times are those of the oldest and the newest row. Empty slugs are those of rows without any.
CREATE TABLE audit_zones (
    org_id      TEXT COLLATE "C" NOT NULL REFERENCES orgs (org_id),
    zone        BIGINT NOT NULL,
    workspace   TEXT COLLATE "C" NOT NULL,
    environment TEXT COLLATE "C" NOT NULL,
    traits      BIGINT NOT NULL,
    first_time  BIGINT NOT NULL,
    last_time   BIGINT NOT NULL,
    PRIMARY KEY (org_id, zone, workspace, environment)
);

-- The owner sees no organization's rows while row-level security is forced; it is again before anybody else can look.
ALTER TABLE audit_rows NO FORCE ROW LEVEL SECURITY;

INSERT INTO audit_zones (org_id, zone, workspace, environment, traits, first_time, last_time)
SELECT org_id, (seq - 1) / 1024, coalesce(workspace, ''), coalesce(environment, ''),
    max(CASE kind WHEN 'decision' THEN 1 ELSE 0 END) + max(CASE kind WHEN 'outcome' THEN 2 ELSE 0 END)
    + max(CASE kind WHEN 'lifecycle' THEN 4 ELSE 0 END) + max(CASE kind WHEN 'approval' THEN 8 ELSE 0 END)
    + max(CASE kind WHEN 'gap' THEN 16 ELSE 0 END) + max(CASE kind WHEN 'checkpoint' THEN 32 ELSE 0 END)
    + max(CASE kind WHEN 'operator' THEN 64 ELSE 0 END) + max(CASE kind WHEN 'hole' THEN 128 ELSE 0 END)
    + max(CASE verdict WHEN 'permit' THEN 256 ELSE 0 END)
    + max(CASE verdict WHEN 'permit_with_obligations' THEN 512 ELSE 0 END)
    + max(CASE verdict WHEN 'deny' THEN 1024 ELSE 0 END),
    min(time), max(time)
FROM audit_rows GROUP BY 1, 2, 3, 4;

ALTER TABLE audit_rows FORCE ROW LEVEL SECURITY;

CREATE INDEX audit_zones_place ON audit_zones (org_id, workspace, environment, zone);

-- Each cost every row an entry.
DROP INDEX audit_rows_scope;
DROP INDEX audit_rows_time;

-- A row is added by who has locked the chain's head, which refers to the organization: to look it up again for each row says nothing new.
ALTER TABLE audit_rows DROP CONSTRAINT audit_rows_org_id_fkey;

ALTER TABLE audit_zones ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_zones FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON audit_zones
    USING (org_id = current_setting('mcpg.org_id', true))
    WITH CHECK (org_id = current_setting('mcpg.org_id', true));

-- The sums of usage_hours over all callers: there are many, and most questions are not about them.
CREATE TABLE usage_tools (
    org_id      TEXT COLLATE "C" NOT NULL REFERENCES orgs (org_id),
    hour        BIGINT NOT NULL,
    workspace   TEXT COLLATE "C" NOT NULL,
    environment TEXT COLLATE "C" NOT NULL,
    tool        TEXT COLLATE "C" NOT NULL,
    calls       BIGINT NOT NULL,
    denied      BIGINT NOT NULL,
    failed      BIGINT NOT NULL,
    bytes       BIGINT NOT NULL,
    duration_us BIGINT NOT NULL,
    PRIMARY KEY (org_id, hour, workspace, environment, tool)
);

ALTER TABLE usage_hours NO FORCE ROW LEVEL SECURITY;

INSERT INTO usage_tools (org_id, hour, workspace, environment, tool, calls, denied, failed, bytes, duration_us)
SELECT org_id, hour, workspace, environment, tool, sum(calls), sum(denied), sum(failed), sum(bytes), sum(duration_us)
FROM usage_hours GROUP BY 1, 2, 3, 4, 5;

ALTER TABLE usage_hours FORCE ROW LEVEL SECURITY;

ALTER TABLE usage_tools ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage_tools FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON usage_tools
    USING (org_id = current_setting('mcpg.org_id', true))
    WITH CHECK (org_id = current_setting('mcpg.org_id', true));
