/* enclii.yaml: YAML text to a decoded spec, and every finding to its place. */
#include <glib.h>
#include <stdint.h>

#include "enclii/spec_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(spec_file_t) file = spec_file_parse((const char *)data, size, "enclii.yaml", &error);
    g_assert((file == NULL) == (error != NULL));
    return 0;
}
