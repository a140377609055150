-- Lists are read newest first, a page at a time: along an index, not by sorting all there is.
CREATE INDEX projects_page ON projects (organization_id, id) WHERE deleted_at IS NULL;
CREATE INDEX services_page ON services (project_id, id) WHERE deleted_at IS NULL;
CREATE INDEX releases_page ON releases (service_id, id);
CREATE INDEX deployments_page ON deployments (service_id, id);
