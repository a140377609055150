/* The redactor. Input: two values and a text, each behind its length in one byte (the text is the rest). Neither value may
 * be found in what comes out, nor may a text without any of their forms change. */
#include <stdint.h>
#include <string.h>

#include "logs/redactor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct secret *take_secret(const uint8_t **data, size_t *size)
{
    size_t length = *size > 0 ? MIN((size_t) * *data, *size - 1) : 0;
    size_t used = *size > 0 ? 1 : 0;
    struct secret *secret = secret_new(*data + used, length);
    *data += used + length;
    *size -= used + length;
    return secret;
}

static bool holds(const GString *text, const struct secret *secret)
{
    return memmem(text->str, text->len, secret_reveal(secret), secret_length(secret)) != NULL;
}

/* A value that has bytes in common with the replacement may be completed by it. */
static bool is_apart(const struct secret *secret)
{
    for (size_t i = 0; i < secret_length(secret); i++) {
        if (memchr("[redacted]", secret_reveal(secret)[i], 10) != NULL) {
            return false;
        }
    }
    return secret_length(secret) >= 4;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 20000) {
        return 0;
    }
    g_autoptr(sy_secret) first = take_secret(&data, &size);
    g_autoptr(sy_secret) second = take_secret(&data, &size);
    const struct secret *secrets[] = {first, second};
    struct redactor *redactor = redactor_new(secrets, 2);
    g_autoptr(GString) out = g_string_new(NULL);
    size_t n = redactor_apply(redactor, (const char *)data, size, out);
    g_assert(n > 0 || (out->len == size && memcmp(out->str, data, size) == 0));
    for (int i = 0; i < 2; i++) {
        g_assert(!is_apart(secrets[i]) || !holds(out, secrets[i]));
    }
    redactor_unref(redactor);
    return 0;
}
