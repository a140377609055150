DROP INDEX releases_lost;
ALTER TABLE releases DROP COLUMN image_lost_at;
