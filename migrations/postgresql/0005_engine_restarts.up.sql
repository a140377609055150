-- How often the engine started an instance again by itself.
ALTER TABLE instances ADD COLUMN engine_restarts BIGINT;
