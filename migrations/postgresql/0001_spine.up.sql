-- The spine: organizations, projects, what is built, what runs, and its history.
-- Ids and enums are TEXT; numbers, booleans and times (microseconds since the epoch) BIGINT; the rest is JSON in TEXT.

CREATE TABLE installation (
    id TEXT PRIMARY KEY NOT NULL,
    created_at BIGINT NOT NULL,
    master_key_id TEXT NOT NULL
);

CREATE TABLE organizations (
    id TEXT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL,
    slug TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (slug)
);

CREATE TABLE projects (
    id TEXT PRIMARY KEY NOT NULL,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    name TEXT NOT NULL,
    slug TEXT NOT NULL,
    description TEXT,
    git_repo TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT,
    revision BIGINT,
    deleted_at BIGINT
);

CREATE TABLE environments (
    id TEXT PRIMARY KEY NOT NULL,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    project_id TEXT NOT NULL REFERENCES projects (id),
    name TEXT NOT NULL,
    subnet TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT,
    revision BIGINT,
    deleted_at BIGINT
);

CREATE TABLE services (
    id TEXT PRIMARY KEY NOT NULL,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    project_id TEXT NOT NULL REFERENCES projects (id),
    name TEXT NOT NULL,
    git_repo TEXT,
    build_config TEXT,
    command TEXT,
    port BIGINT NOT NULL,
    public BIGINT NOT NULL,
    health TEXT,
    replicas BIGINT NOT NULL,
    resources TEXT,
    env TEXT,
    secrets TEXT,
    domains TEXT,
    volumes TEXT,
    release TEXT,
    stop TEXT,
    security TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT,
    revision BIGINT,
    deleted_at BIGINT,
    release_counter BIGINT,
    deployment_counter BIGINT
);

CREATE TABLE pairs (
    id TEXT PRIMARY KEY NOT NULL,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    project_id TEXT NOT NULL REFERENCES projects (id),
    service_id TEXT NOT NULL REFERENCES services (id),
    environment_id TEXT NOT NULL REFERENCES environments (id),
    overrides TEXT,
    desired_deployment_id TEXT,
    serving_deployment_id TEXT,
    generation BIGINT NOT NULL,
    observed_generation BIGINT NOT NULL,
    status TEXT NOT NULL,
    status_reason TEXT,
    host TEXT,
    config_version BIGINT NOT NULL,
    restart_nonce BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT,
    revision BIGINT,
    UNIQUE (service_id, environment_id)
);

CREATE TABLE releases (
    id TEXT PRIMARY KEY NOT NULL,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    project_id TEXT NOT NULL REFERENCES projects (id),
    service_id TEXT NOT NULL REFERENCES services (id),
    number BIGINT,
    version TEXT,
    status TEXT NOT NULL,
    image_uri TEXT,
    image_digest TEXT,
    git_sha TEXT,
    git_branch TEXT,
    source TEXT,
    build_config TEXT,
    builder TEXT,
    builder_reason TEXT,
    default_command TEXT,
    default_port BIGINT,
    size_bytes BIGINT,
    duration_ms BIGINT,
    error_code TEXT,
    error_message TEXT,
    fingerprint TEXT,
    created_by TEXT,
    created_at BIGINT NOT NULL,
    started_at BIGINT,
    finished_at BIGINT,
    lease_owner TEXT,
    lease_until BIGINT,
    attempts BIGINT NOT NULL,
    cancel_requested BIGINT NOT NULL,
    image_removed_at BIGINT,
    revision BIGINT,
    UNIQUE (service_id, number)
);

CREATE TABLE deployments (
    id TEXT PRIMARY KEY NOT NULL,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    project_id TEXT NOT NULL REFERENCES projects (id),
    service_id TEXT NOT NULL REFERENCES services (id),
    environment_id TEXT NOT NULL REFERENCES environments (id),
    release_id TEXT NOT NULL REFERENCES releases (id),
    pair_id TEXT NOT NULL REFERENCES pairs (id),
    number BIGINT,
    version TEXT,
    kind TEXT NOT NULL,
    replicas BIGINT,
    status TEXT NOT NULL,
    health TEXT NOT NULL,
    url TEXT,
    reason TEXT,
    error_code TEXT,
    error_message TEXT,
    hint TEXT,
    value TEXT,
    template TEXT,
    config_version BIGINT,
    rolled_back_to TEXT,
    requests_lost BIGINT,
    created_by TEXT,
    created_at BIGINT NOT NULL,
    started_at BIGINT,
    finished_at BIGINT,
    was_healthy BIGINT NOT NULL,
    generation BIGINT,
    cancel_requested BIGINT NOT NULL,
    release_command_done BIGINT NOT NULL,
    revision BIGINT,
    UNIQUE (service_id, number)
);

CREATE TABLE instances (
    id TEXT PRIMARY KEY NOT NULL,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    pair_id TEXT NOT NULL REFERENCES pairs (id),
    deployment_id TEXT NOT NULL REFERENCES deployments (id),
    template TEXT,
    slot BIGINT,
    name TEXT,
    address TEXT,
    port BIGINT,
    state TEXT NOT NULL,
    engine_id TEXT,
    health_detail TEXT,
    probes BIGINT NOT NULL,
    restarts BIGINT NOT NULL,
    started_at BIGINT,
    state_since BIGINT,
    retry_at BIGINT,
    created_at BIGINT NOT NULL,
    UNIQUE (name)
);

CREATE TABLE variables (
    id TEXT PRIMARY KEY NOT NULL,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    service_id TEXT NOT NULL REFERENCES services (id),
    environment_id TEXT REFERENCES environments (id),
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    is_secret BIGINT NOT NULL,
    is_removed BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT,
    revision BIGINT
);

CREATE TABLE config_versions (
    id TEXT PRIMARY KEY NOT NULL,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    pair_id TEXT NOT NULL REFERENCES pairs (id),
    version BIGINT,
    content TEXT,
    created_at BIGINT NOT NULL,
    UNIQUE (pair_id, version)
);

CREATE TABLE domains (
    id TEXT PRIMARY KEY NOT NULL,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    service_id TEXT NOT NULL REFERENCES services (id),
    pair_id TEXT NOT NULL REFERENCES pairs (id),
    domain TEXT NOT NULL,
    environment TEXT,
    environment_id TEXT REFERENCES environments (id),
    tls_enabled BIGINT NOT NULL,
    tls_issuer TEXT,
    status TEXT NOT NULL,
    from_spec BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE tokens (
    id TEXT PRIMARY KEY NOT NULL,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    name TEXT NOT NULL,
    prefix TEXT,
    hash TEXT,
    scopes TEXT NOT NULL,
    project TEXT,
    project_id TEXT REFERENCES projects (id),
    expires_at BIGINT,
    last_used_at BIGINT,
    created_by TEXT,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT
);

CREATE TABLE events (
    id BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    organization_id TEXT NOT NULL,
    type TEXT,
    project_id TEXT,
    service_id TEXT,
    environment_id TEXT,
    deployment_id TEXT,
    release_id TEXT,
    message TEXT,
    data TEXT,
    actor TEXT,
    created_at BIGINT NOT NULL
);

CREATE TABLE sources (
    id TEXT PRIMARY KEY NOT NULL,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    project_id TEXT NOT NULL REFERENCES projects (id),
    sha256 TEXT,
    size_bytes BIGINT,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT,
    UNIQUE (project_id, sha256)
);

CREATE TABLE volumes (
    id TEXT PRIMARY KEY NOT NULL,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    pair_id TEXT NOT NULL REFERENCES pairs (id),
    name TEXT,
    engine_name TEXT,
    created_at BIGINT NOT NULL,
    tombstoned_at BIGINT,
    UNIQUE (engine_name)
);

CREATE TABLE leases (
    id TEXT PRIMARY KEY NOT NULL,
    holder TEXT,
    fence BIGINT,
    until BIGINT
);

CREATE TABLE idempotency (
    id TEXT PRIMARY KEY NOT NULL,
    body_sha256 TEXT,
    status BIGINT,
    body TEXT,
    created_at BIGINT NOT NULL
);

CREATE UNIQUE INDEX projects_slug ON projects (organization_id, slug) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX environments_name ON environments (project_id, name) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX environments_subnet ON environments (subnet) WHERE subnet IS NOT NULL;
CREATE UNIQUE INDEX services_name ON services (project_id, name) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX pairs_host ON pairs (host) WHERE host IS NOT NULL;
CREATE INDEX pairs_environment ON pairs (environment_id);
CREATE INDEX releases_service ON releases (service_id, created_at);
CREATE INDEX releases_status ON releases (status, created_at) WHERE status IN ('queued', 'building');
CREATE INDEX releases_fingerprint ON releases (service_id, fingerprint);
CREATE INDEX deployments_service ON deployments (service_id, created_at);
CREATE INDEX deployments_pair ON deployments (pair_id, number);
CREATE UNIQUE INDEX instances_address ON instances (address) WHERE address IS NOT NULL;
CREATE INDEX instances_pair ON instances (pair_id);
CREATE UNIQUE INDEX variables_everywhere ON variables (service_id, key) WHERE environment_id IS NULL;
CREATE UNIQUE INDEX variables_environment ON variables (service_id, environment_id, key) WHERE environment_id IS NOT NULL;
CREATE INDEX domains_pair ON domains (pair_id);
CREATE INDEX domains_service ON domains (service_id);
CREATE UNIQUE INDEX domains_name ON domains (domain);
CREATE UNIQUE INDEX tokens_hash ON tokens (hash);
CREATE INDEX volumes_pair ON volumes (pair_id);
CREATE INDEX events_project ON events (project_id, id);
CREATE INDEX events_deployment ON events (deployment_id, id);
CREATE INDEX idempotency_created ON idempotency (created_at);
