/* .env files: keys are names, values hold no more than the file did. */
#include <stdint.h>
#include <string.h>

#include "base/error.h"
#include "contract/contract.h"
#include "enclii/dotenv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = g_strndup((const char *)data, size); /* to the byte, so that a read beyond is seen */
    g_autoptr(GPtrArray) map = dotenv_parse(text, strlen(text), "f", &error);
    g_assert_true((map == NULL) == (error != NULL));
    for (guint i = 0; map != NULL && i < map->len; i++) {
        const struct string_pair *pair = g_ptr_array_index(map, i);
        g_assert_null(check_variable(pair->key));
        g_assert_true(g_utf8_validate(pair->value, -1, NULL));
        g_assert_cmpuint(strlen(pair->value), <, size);
    }
    return 0;
}
