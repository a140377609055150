DROP INDEX deployments_page;
DROP INDEX releases_page;
DROP INDEX services_page;
DROP INDEX projects_page;
