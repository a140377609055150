ALTER TABLE releases DROP COLUMN is_rebuild;
