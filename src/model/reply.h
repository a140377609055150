/* Replies that are composed from several rows. */
#pragma once

#include "contract/contract.h"
#include "model/deployment.h"
#include "model/instance.h"
#include "model/release.h"
#include "model/service.h"

struct service_status {
    struct service *service;
    char *environment;
    char *status;
    char *reason;
    char *health;
    char *version;
    int64_t replicas;
    int64_t uptime;
    char *url;
    struct deployment *latest_deployment;
    GPtrArray *instances;
    int64_t pods;
    int64_t running_pods;
    char **exceptions;
};
extern const struct type service_status_type;
CONTRACT_AUTOPTR(service_status)

struct latest_deployment {
    struct deployment *deployment;
    struct release *release;
};
extern const struct type latest_deployment_type;
CONTRACT_AUTOPTR(latest_deployment)

struct log_text {
    char *logs;
};
extern const struct type log_text_type;
CONTRACT_AUTOPTR(log_text)

struct log_record {
    int64_t time_us;
    char *instance;
    char *stream;
    char *text;
    int64_t sequence;
};
extern const struct type log_record_type;
CONTRACT_AUTOPTR(log_record)

struct spec_result {
    char *project;
    char *token;
    char **changes;
    GPtrArray *services;
    int applied;
};
extern const struct type spec_result_type;
CONTRACT_AUTOPTR(spec_result)

struct version_info {
    char *service;
    char *version;
    char *api;
};
extern const struct type version_info_type;
CONTRACT_AUTOPTR(version_info)

struct build_recent {
    char *status;
    int64_t duration_ms;
    int64_t created_us;
};
extern const struct type build_recent_type;
CONTRACT_AUTOPTR(build_recent)

struct build_status {
    char *status;
    int64_t queued;
    int64_t building;
    GPtrArray *recent;
};
extern const struct type build_status_type;
CONTRACT_AUTOPTR(build_status)

struct finding {
    char *check;
    char *status;
    char *detail;
    char *fix;
};
extern const struct type finding_type;
CONTRACT_AUTOPTR(finding)

struct doctor_report {
    char *status;
    GPtrArray *findings;
};
extern const struct type doctor_report_type;
CONTRACT_AUTOPTR(doctor_report)

struct gc_item {
    char *kind;
    char *name;
    char *action;
    char *reason;
    int64_t size_bytes;
};
extern const struct type gc_item_type;
CONTRACT_AUTOPTR(gc_item)

struct gc_report {
    int dry_run;
    int64_t freed_bytes;
    GPtrArray *items;
};
extern const struct type gc_report_type;
CONTRACT_AUTOPTR(gc_report)
