-- The version before knows no waiting: what is to leave leaves at once, and gives its names away.
DELETE FROM domains WHERE pair_id IN (SELECT id FROM pairs WHERE leaving_at IS NOT NULL);
UPDATE pairs SET desired_deployment_id = NULL, serving_deployment_id = NULL, host = NULL, generation = generation + 1
WHERE leaving_at IS NOT NULL;
DROP INDEX pairs_leaving;
ALTER TABLE pairs DROP COLUMN leaving_at;
