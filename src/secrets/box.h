/* The box that secrets are kept in: authenticated encryption at rest under the installation's master key.
 *
 * XChaCha20-Poly1305 (libsodium's crypto_aead_xchacha20poly1305_ietf; draft-irtf-cfrg-xchacha) with a random 192-bit nonce
 * per value. The associated data binds a ciphertext to its row and key, so that one copied to another place does not open.
 * Text form: "v1:<key id>:<base64url(nonce ‖ ciphertext ‖ tag)>".
 * The master key is 32 random bytes in a file of mode 0600, made at the first start; its id is the first 16 hex digits of its
 * BLAKE2b hash. Several processes on one database must be given the same file.
 * Immutable after box_open; shared by all threads. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "base/secret.h"

struct box;

/* Reads the key file, or makes it when `may_create`. Refuses one that others may read (SY_IO_FAILED names the chmod). */
struct box *box_open(const char *key_path, bool may_create, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void box_free(struct box *box);
const char *box_key_id(const struct box *box);

/* `row` and `name` are the associated data. */
char *box_seal(const struct box *box, const char *row, const char *name, const char *value);

/* SY_INTERNAL when the text was not sealed for this place or by this key. */
struct secret *box_open_value(const struct box *box, const char *row, const char *name, const char *sealed,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;
