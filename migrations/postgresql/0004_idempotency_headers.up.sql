-- A reply that is given again has the headers that it had.
ALTER TABLE idempotency ADD COLUMN headers TEXT;
