ALTER TABLE deployments DROP COLUMN gap_ms;
