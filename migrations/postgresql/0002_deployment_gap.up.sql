-- How long nothing ran while a service with a volume was replaced.
ALTER TABLE deployments ADD COLUMN gap_ms BIGINT;
