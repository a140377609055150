ALTER TABLE instances DROP COLUMN engine_restarts;
