-- Since when a pair waits to be retired, because its project or environment was deleted; NULL: it is to stay.
ALTER TABLE pairs ADD COLUMN leaving_at BIGINT;
CREATE INDEX pairs_leaving ON pairs (leaving_at, id) WHERE leaving_at IS NOT NULL;
