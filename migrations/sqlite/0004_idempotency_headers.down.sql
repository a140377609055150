ALTER TABLE idempotency DROP COLUMN headers;
