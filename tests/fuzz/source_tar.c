/* Archives of any kind: nothing may appear beside the folder, links in it must lead inside. */
#include <fcntl.h>
#include <ftw.h>
#include <glib.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "build/source.h"
#include "build/source_tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned root_level;

/* The outer folder holds inner/ and nothing else; no link below leads out of that. */
static int look(const char *path, const struct stat *stat, int kind, struct FTW *walk)
{
    char target[PATH_MAX];
    if (walk->level == 1) {
        g_assert_true(g_str_has_suffix(path, "/inner"));
    }
    if (kind == FTW_SL) {
        ssize_t length = readlink(path, target, sizeof target - 1);
        g_assert_cmpint(length, >, 0);
        target[length] = '\0';
        g_assert_true(source_link_is_inside(target, (unsigned)walk->level - root_level));
    } else {
        g_assert_true(S_ISREG(stat->st_mode) || S_ISDIR(stat->st_mode));
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct source_limits limits = {
        .entry_count = 50, .total_bytes = 1 << 20, .entry_bytes = 1 << 20, .ratio = 200, .xz_bytes = 1 << 20};
    const char *shm = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : g_get_tmp_dir();
    g_autofree char *outer = g_build_filename(shm, "enclii-fuzz-XXXXXX", NULL);
    g_assert_nonnull(g_mkdtemp(outer));
    g_autofree char *inner = g_build_filename(outer, "inner", NULL);
    g_assert_cmpint(mkdir(inner, 0700), ==, 0);
    g_auto(fd_t) folder = open(inner, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_auto(fd_t) archive = memfd_create("archive", MFD_CLOEXEC);
    g_autoptr(GError) error = NULL;
    struct source_tree tree;
    g_assert_true(fd_write_all(archive, data, size, NULL));
    g_assert_cmpint(lseek(archive, 0, SEEK_SET), ==, 0);
    bool ok = source_unpack(archive, folder, &limits, NULL, &tree, &error);
    g_assert_true(ok == (error == NULL));
    if (error != NULL) {
        g_assert_true(g_utf8_validate(error->message, -1, NULL));
    }
    root_level = 2;
    g_assert_cmpint(nftw(outer, look, 16, FTW_PHYS), ==, 0);
    g_assert_true(source_remove(outer, NULL));
    return 0;
}
