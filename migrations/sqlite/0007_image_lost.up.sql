-- When the engine said that it does not have a release's image: other than one that garbage collection took, it may come back.
ALTER TABLE releases ADD COLUMN image_lost_at BIGINT;
CREATE INDEX releases_lost ON releases (id) WHERE image_lost_at IS NOT NULL;
