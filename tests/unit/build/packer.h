/* Archives for tests, made with libarchive's writer in memory. */
#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <glib.h>
#include <locale.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"

struct packer {
    int fd;
    struct archive *archive;
};

static inline struct packer packer_new(int filter)
{
    struct packer packer = {.fd = memfd_create("archive", MFD_CLOEXEC), .archive = archive_write_new()};
    g_assert_cmpint(packer.fd, >=, 0);
    g_assert_cmpint(archive_write_set_format_pax(packer.archive), ==, ARCHIVE_OK);
    g_assert_cmpint(archive_write_add_filter(packer.archive, filter), ==, ARCHIVE_OK);
    archive_write_set_bytes_in_last_block(packer.archive, 1);
    g_assert_cmpint(archive_write_open_fd(packer.archive, packer.fd), ==, ARCHIVE_OK);
    return packer;
}

static inline void packer_entry(struct packer *packer, unsigned kind, const char *name, unsigned mode,
                                const char *target, const char *content, int64_t size)
{
    /* For names that are not ASCII; what unpacks must not need it. */
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    locale_t before = uselocale(utf8);
    struct archive_entry *entry = archive_entry_new();
    archive_entry_copy_pathname(entry, name);
    archive_entry_set_filetype(entry, kind);
    archive_entry_set_perm(entry, (mode_t)mode);
    archive_entry_set_mtime(entry, 1234567890, 0);
    archive_entry_set_uid(entry, 4711);
    if (kind == AE_IFLNK) {
        archive_entry_copy_symlink(entry, target);
    } else if (target != NULL) {
        archive_entry_copy_hardlink(entry, target);
    }
    archive_entry_set_size(entry, content != NULL ? (int64_t)strlen(content) : size);
    g_assert_cmpint(archive_write_header(packer->archive, entry), ==, ARCHIVE_OK);
    if (content != NULL) {
        g_assert_cmpint(archive_write_data(packer->archive, content, strlen(content)), ==, (gssize)strlen(content));
    }
    archive_entry_free(entry);
    uselocale(before);
    freelocale(utf8);
}

static inline void packer_file(struct packer *packer, const char *name, const char *content)
{
    packer_entry(packer, AE_IFREG, name, 0644, NULL, content, 0);
}

static inline void packer_link(struct packer *packer, const char *name, const char *target)
{
    packer_entry(packer, AE_IFLNK, name, 0777, target, NULL, 0);
}

/* The archive from its beginning; the caller closes it. */
static inline int packer_end(struct packer *packer)
{
    g_assert_cmpint(archive_write_free(packer->archive), ==, ARCHIVE_OK);
    g_assert_cmpint(lseek(packer->fd, 0, SEEK_SET), ==, 0);
    return packer->fd;
}
