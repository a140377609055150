#include "build/pipeline.h"

#include <string.h>

#include "base/id.h"

/* Goes up when the same source would come out different: other Dockerfiles, other base images. */
#define BUILDER_VERSION "enclii-build-1"

/* With its length before it, so that no two lists of fields read alike; absent differs from empty. */
static void add_field(GString *text, const char *value)
{
    if (value == NULL) {
        g_string_append(text, "-\n");
        return;
    }
    g_string_append_printf(text, "%zu:", strlen(value));
    g_string_append(text, value);
    g_string_append_c(text, '\n');
}

char *build_fingerprint(const char *source_digest, const char *git_repo, const char *git_sha,
                        const struct build_config *config)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree char *configuration = contract_encode_text(&build_config_type, config, ENCODE_STORED);
    add_field(text, BUILDER_VERSION);
    add_field(text, source_digest);
    add_field(text, git_repo);
    add_field(text, git_sha);
    add_field(text, configuration);
    return sha256_hex(text->str, text->len);
}
