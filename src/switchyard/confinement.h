/* Which rights `switchyard` keeps, and with it HAProxy, git, the docker client and mmdebstrap, which it starts: policy over
 * base/confine.h. docs/adr/0010-confinement.md says why it is so. */
#pragma once

#include "switchyard/config.h"

struct confinement {
    bool is_wanted; /* confinement is not off */
    bool has_files; /* Landlock holds */
    bool has_calls; /* seccomp holds */
    char *missing;  /* what is missing and why; NULL when nothing is */
    char *reduced;  /* what a build with sanitizers leaves open; NULL in all others */
};
void confinement_clear(struct confinement *confinement);

/* Makes the folders that rules name, then gives up all else. Once, before the first thread, under the data folder's lock.
 * SY_NOT_SUPPORTED when something is missing and the configuration says `on`. */
bool confinement_apply(const struct config *config, struct confinement *ret_confinement,
                       GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* DATA_DIR/assembly: the one folder beneath which what was written may also be run. */
char *confinement_assembly_folder(const struct config *config);
