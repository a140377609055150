#include "base/id.h"

#include <string.h>
#include <sys/random.h>

static const char hex_digits[] = "0123456789abcdef";

void random_bytes(void *out, size_t length)
{
    unsigned char *bytes = out;
    while (length > 0) {
        ssize_t got = getrandom(bytes, length, 0);
        if (got > 0) {
            bytes += got;
            length -= (size_t)got;
        }
        g_assert(got != 0); /* never for a length > 0: getrandom(2) */
    }
}

/* RFC 9562 section 6.2, method 1: rand_a is a 12-bit counter within a millisecond; when it
 * overflows, the timestamp runs ahead by one. */
static uint64_t next_stamp(int64_t now_us)
{
    static GMutex lock;
    static uint64_t last;
    uint64_t stamp = ((uint64_t)MAX(now_us, 0) / 1000) << 12;
    g_mutex_lock(&lock);
    last = stamp > last ? stamp : last + 1;
    stamp = last;
    g_mutex_unlock(&lock);
    return stamp;
}

/* 8 random bytes. The kernel is asked once for many ids: an id is unique, not secret, and the system call costs more than all the
 * rest of it. Per thread; what was used is not kept. */
static void random_word(unsigned char *out)
{
    static _Thread_local unsigned char pool[512];
    static _Thread_local size_t n_left;
    if (n_left == 0) {
        random_bytes(pool, sizeof pool);
        n_left = sizeof pool;
    }
    n_left -= 8;
    memcpy(out, pool + n_left, 8);
    memset(pool + n_left, 0, 8);
}

void uuid_make(int64_t now_us, char out[UUID_LENGTH + 1])
{
    uint64_t stamp = next_stamp(now_us);
    unsigned char bytes[16];
    random_word(bytes + 8);
    for (int i = 0; i < 6; i++) {
        bytes[i] = (unsigned char)(stamp >> (12 + 8 * (5 - i)));
    }
    bytes[6] = (unsigned char)(0x70 | ((stamp >> 8) & 0x0f));
    bytes[7] = (unsigned char)stamp;
    bytes[8] = (unsigned char)(0x80 | (bytes[8] & 0x3f));
    char *p = out;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *p++ = '-';
        }
        *p++ = hex_digits[bytes[i] >> 4];
        *p++ = hex_digits[bytes[i] & 15];
    }
    *p = '\0';
}

char *uuid_new(void)
{
    char *out = g_malloc(UUID_LENGTH + 1);
    uuid_make(g_get_real_time(), out);
    return out;
}

const char *uuid_tail(const char *uuid)
{
    return uuid + UUID_LENGTH - 12;
}

bool uuid_is_valid(const char *text)
{
    return text != NULL && g_uuid_string_is_valid(text);
}

char *sha256_hex(const void *bytes, size_t length)
{
    return g_compute_checksum_for_data(G_CHECKSUM_SHA256, bytes, length);
}

bool sha256_hex_is_valid(const char *text)
{
    return text != NULL && strlen(text) == SHA256_HEX_LENGTH && strspn(text, hex_digits) == SHA256_HEX_LENGTH;
}

char *dns_label_fit(const char *text, bool always)
{
    size_t length = strlen(text);
    if (length <= 63 && !always) {
        return g_strdup(text);
    }
    g_autofree char *hash = sha256_hex(text, length);
    size_t kept = MIN(length, 54);
    while (kept > 0 && text[kept - 1] == '-') {
        kept--;
    }
    return g_strdup_printf("%.*s-%.8s", (int)kept, text, hash);
}

static bool is_lower_alnum(char c)
{
    return g_ascii_islower(c) || g_ascii_isdigit(c);
}

bool dns_label_is_valid(const char *text)
{
    size_t length = text != NULL ? strlen(text) : 0;
    if (length < 1 || length > 63 || !g_ascii_islower(text[0]) || !is_lower_alnum(text[length - 1])) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (!is_lower_alnum(text[i]) && text[i] != '-') {
            return false;
        }
    }
    return true;
}

bool dns_name_is_valid(const char *text)
{
    if (text == NULL || strlen(text) > 253) {
        return false;
    }
    int labels = 0;
    for (const char *p = text;; p++) {
        size_t length = strcspn(p, ".");
        if (length < 1 || length > 63 || !is_lower_alnum(p[0]) || !is_lower_alnum(p[length - 1])) {
            return false;
        }
        for (size_t i = 0; i < length; i++) {
            if (!is_lower_alnum(p[i]) && p[i] != '-') {
                return false;
            }
        }
        labels++;
        p += length;
        if (*p == '\0') {
            return labels >= 2;
        }
    }
}

#define NEAREST_MAXIMUM 64

/* Optimal string alignment distance; words longer than NEAREST_MAXIMUM count as infinitely far. */
static size_t distance(const char *a, const char *b)
{
    size_t n = strlen(a);
    size_t m = strlen(b);
    if (n > NEAREST_MAXIMUM || m > NEAREST_MAXIMUM) {
        return SIZE_MAX;
    }
    size_t rows[3][NEAREST_MAXIMUM + 1];
    for (size_t j = 0; j <= m; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= n; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i - 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);
            best = MIN(best, above[j] + 1);
            best = MIN(best, row[j - 1] + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                best = MIN(best, rows[(i - 2) % 3][j - 2] + 1);
            }
            row[j] = best;
        }
    }
    return rows[n % 3][m];
}

const char *nearest_word(const char *word, const char *const *candidates)
{
    const char *best = NULL;
    size_t best_distance = MAX(strlen(word) / 3, 1) + 1;
    for (; *candidates != NULL; candidates++) {
        size_t d = distance(word, *candidates);
        if (d < best_distance) {
            best_distance = d;
            best = *candidates;
        }
    }
    return best;
}
