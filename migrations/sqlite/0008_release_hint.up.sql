-- What to do about a failed build, as deployments have it.
ALTER TABLE releases ADD COLUMN hint TEXT;
