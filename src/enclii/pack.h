/* A folder of source as a tar archive whose bytes depend on nothing but names, contents and executable bits.
 *
 * Left out: `.git` at any depth, enclii.yaml in the root (settings are no source: changing them must not build anew), and what
 * .gitignore and .encliiignore say; the latter is written the same way and has the last word in its folder. .gitignore files
 * above the root count too, up to the top of the git work tree, unless they leave out the root itself. Entries are sorted
 * bytewise within their folder. Symbolic links stay links; one that leads out of the packed folder is refused, as are sockets,
 * FIFOs and devices. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct pack_options {
    const char *root;    /* absolute: the folder of enclii.yaml */
    const char *context; /* below it: only this is packed, under its own path; "." for all */
    const char *temporary_folder;
    int64_t limit_bytes;  /* of the archive; 0: none */
    const int *cancelled; /* read atomically; may be NULL */
};

struct pack {
    int fd; /* at its start; the file has no name and goes with the descriptor */
    int64_t size_bytes;
    unsigned n_files;
    char *sha256;
};

/* SY_INVALID_INPUT names what cannot be packed, SY_CONFLICT a file that changed while it was read. */
bool pack_folder(const struct pack_options *options, struct pack *ret_pack, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void pack_clear(struct pack *pack);
