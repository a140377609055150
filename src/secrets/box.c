#include "secrets/box.h"

#include <sodium.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"
#include "base/id.h"

#define KEY_BYTES crypto_aead_xchacha20poly1305_ietf_KEYBYTES
#define NONCE_BYTES crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_BYTES crypto_aead_xchacha20poly1305_ietf_ABYTES

struct box {
    unsigned char key[KEY_BYTES];
    char key_id[17];
};

static bool check_mode(const char *path, GError **error)
{
    struct stat status;
    if (stat(path, &status) != 0 || (status.st_mode & 077) == 0) {
        return true; /* a missing file is told by the read that follows */
    }
    sy_fail(error, SY_IO_FAILED, "the master key %s can be read by others than its owner", path);
    sy_error_set_hint(error, "chmod 600 %s", path);
    return false;
}

static bool create_key(const char *path, GError **error)
{
    unsigned char key[KEY_BYTES];
    random_bytes(key, sizeof key);
    GError *failure = NULL;
    bool ok = file_create(path, key, sizeof key, 0600, &failure);
    secret_wipe(key, sizeof key);
    if (!ok && g_error_matches(failure, SY_ERROR, SY_ALREADY_EXISTS)) {
        g_clear_error(&failure); /* another process was quicker: its key is the one */
        return true;
    }
    if (!ok) {
        g_propagate_error(error, failure);
    }
    return ok;
}

struct box *box_open(const char *key_path, bool may_create, GError **error)
{
    if (sodium_init() < 0) {
        sy_fail(error, SY_INTERNAL, "libsodium cannot be initialised");
        return NULL;
    }
    if (may_create && !g_file_test(key_path, G_FILE_TEST_EXISTS) && !create_key(key_path, error)) {
        return NULL;
    }
    size_t length = 0;
    if (!check_mode(key_path, error)) {
        return NULL;
    }
    char *bytes = file_read(key_path, KEY_BYTES, &length, error);
    if (bytes == NULL) {
        g_prefix_error(error, "master key: ");
        return NULL;
    }
    struct box *box = NULL;
    if (length == KEY_BYTES) {
        box = g_new0(struct box, 1);
        memcpy(box->key, bytes, KEY_BYTES);
        unsigned char hash[crypto_generichash_BYTES];
        crypto_generichash(hash, sizeof hash, box->key, KEY_BYTES, NULL, 0);
        sodium_bin2hex(box->key_id, sizeof box->key_id, hash, sizeof box->key_id / 2);
    } else {
        sy_fail(error, SY_IO_FAILED, "the master key %s must be %d bytes long", key_path, (int)KEY_BYTES);
    }
    secret_wipe(bytes, length);
    g_free(bytes);
    return box;
}

void box_free(struct box *box)
{
    if (box != NULL) {
        secret_wipe(box->key, sizeof box->key);
        g_free(box);
    }
}

const char *box_key_id(const struct box *box)
{
    return box->key_id;
}

/* Length-prefixed, so that no two places have the same associated data. */
static char *associated_data(const char *row, const char *name)
{
    return g_strdup_printf("%zu:%s:%s", strlen(row), row, name);
}

char *box_seal(const struct box *box, const char *row, const char *name, const char *value)
{
    size_t length = strlen(value);
    g_autofree char *associated = associated_data(row, name);
    g_autofree unsigned char *bytes = g_malloc(NONCE_BYTES + length + TAG_BYTES);
    random_bytes(bytes, NONCE_BYTES);
    unsigned long long sealed_length = 0;
    crypto_aead_xchacha20poly1305_ietf_encrypt(bytes + NONCE_BYTES, &sealed_length, (const unsigned char *)value,
                                               length, (const unsigned char *)associated, strlen(associated), NULL,
                                               bytes, box->key);
    size_t total = NONCE_BYTES + (size_t)sealed_length;
    size_t text_size = sodium_base64_encoded_len(total, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    g_autofree char *text = g_malloc(text_size);
    sodium_bin2base64(text, text_size, bytes, total, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    return g_strdup_printf("v1:%s:%s", box->key_id, text);
}

struct secret *box_open_value(const struct box *box, const char *row, const char *name, const char *sealed,
                              GError **error)
{
    g_autofree char *prefix = g_strdup_printf("v1:%s:", box->key_id);
    if (!g_str_has_prefix(sealed, prefix)) {
        sy_fail(error, SY_INTERNAL, "a secret was sealed with another master key than %s", box->key_id);
        sy_error_set_hint(error, "Give this process the key file of the installation that wrote the secret.");
        return NULL;
    }
    const char *text = sealed + strlen(prefix);
    size_t capacity = strlen(text);
    g_autofree unsigned char *bytes = g_malloc(capacity + 1);
    size_t length = 0;
    /* libsodium 1.0.18 takes some bytes beyond ASCII for letters of the alphabet. */
    if (!g_str_is_ascii(text) ||
        sodium_base642bin(bytes, capacity, text, strlen(text), NULL, &length, NULL,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0 ||
        length < NONCE_BYTES + TAG_BYTES) {
        sy_fail(error, SY_INTERNAL, "a stored secret is damaged");
        return NULL;
    }
    g_autofree char *associated = associated_data(row, name);
    unsigned long long plain_length = 0;
    g_autofree unsigned char *plain = g_malloc(length);
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(plain, &plain_length, NULL, bytes + NONCE_BYTES,
                                                   length - NONCE_BYTES, (const unsigned char *)associated,
                                                   strlen(associated), bytes, box->key) != 0) {
        sy_fail(error, SY_INTERNAL, "a stored secret is damaged or was moved from another row");
        return NULL;
    }
    struct secret *secret = secret_new(plain, (size_t)plain_length);
    secret_wipe(plain, (size_t)plain_length);
    return secret;
}
