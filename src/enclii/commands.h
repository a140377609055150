/* Every command; each is defined in commands/<word>.c. */
#pragma once

#include "enclii/cli.h"

extern const struct command api_command;
extern const struct command cancel_command;
extern const struct command completion_command;
extern const struct command context_add_command;
extern const struct command context_list_command;
extern const struct command context_remove_command;
extern const struct command context_use_command;
extern const struct command delete_command;
extern const struct command deploy_command;
extern const struct command deployments_command;
extern const struct command doctor_command;
extern const struct command domains_add_command;
extern const struct command domains_list_command;
extern const struct command domains_remove_command;
extern const struct command domains_verify_command;
extern const struct command env_import_command;
extern const struct command env_list_command;
extern const struct command env_set_command;
extern const struct command env_unset_command;
extern const struct command environments_create_command;
extern const struct command environments_delete_command;
extern const struct command environments_list_command;
extern const struct command events_command;
extern const struct command help_command;
extern const struct command init_command;
extern const struct command logs_command;
extern const struct command projects_create_command;
extern const struct command projects_delete_command;
extern const struct command projects_list_command;
extern const struct command projects_restore_command;
extern const struct command projects_show_command;
extern const struct command ps_command;
extern const struct command releases_command;
extern const struct command restart_command;
extern const struct command rollback_command;
extern const struct command scale_command;
extern const struct command schema_command;
extern const struct command services_list_command;
extern const struct command status_command;
extern const struct command tokens_create_command;
extern const struct command tokens_list_command;
extern const struct command tokens_revoke_command;
extern const struct command up_command;
extern const struct command version_command;
