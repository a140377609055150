#include "base/secret.h"

#include <string.h>

struct secret {
    size_t length;
    char bytes[];
};

struct secret *secret_new(const void *bytes, size_t length)
{
    struct secret *secret = g_malloc(sizeof *secret + length + 1);
    secret->length = length;
    if (length > 0) {
        memcpy(secret->bytes, bytes, length);
    }
    secret->bytes[length] = '\0';
    return secret;
}

void secret_free(struct secret *secret)
{
    if (secret != NULL) {
        secret_wipe(secret->bytes, secret->length);
        g_free(secret);
    }
}

const char *secret_reveal(const struct secret *secret)
{
    return secret->bytes;
}

size_t secret_length(const struct secret *secret)
{
    return secret->length;
}

bool bytes_equal_constant_time(const void *a, const void *b, size_t length)
{
    const volatile unsigned char *left = a;
    const volatile unsigned char *right = b;
    unsigned char difference = 0;
    for (size_t i = 0; i < length; i++) {
        difference |= left[i] ^ right[i];
    }
    return difference == 0;
}

bool secret_equal(const struct secret *a, const struct secret *b)
{
    return a->length == b->length && bytes_equal_constant_time(a->bytes, b->bytes, a->length);
}

void secret_wipe(void *bytes, size_t length)
{
    explicit_bzero(bytes, length);
}

void secret_string_free(char *text)
{
    if (text != NULL) {
        secret_wipe(text, strlen(text));
        g_free(text);
    }
}
