-- Asked for although the inputs are known: a builder that takes it up again must know that too.
ALTER TABLE releases ADD COLUMN is_rebuild BIGINT NOT NULL DEFAULT 0;
