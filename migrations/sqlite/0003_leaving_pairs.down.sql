DROP INDEX pairs_leaving;
ALTER TABLE pairs DROP COLUMN leaving_at;
