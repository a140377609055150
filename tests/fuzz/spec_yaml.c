/* enclii.yaml: YAML text to a decoded spec, and every finding to its place. */
#include <glib.h>
#include <stdint.h>

#include "enclii/spec_file.h"

/* libfyaml 0.7.12 loses buffers of its own on some syntax errors. The command line ends then; the fuzzer must go on. What we
 * ourselves should free is held by the leak checks of tests/unit/enclii/spec_file_test.c. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libfyaml.so\n";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(spec_file_t) file = spec_file_parse((const char *)data, size, "enclii.yaml", &error);
    g_assert((file == NULL) == (error != NULL));
    return 0;
}
