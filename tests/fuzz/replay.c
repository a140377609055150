/* Runs a fuzz target over every file of its corpus: one TAP line each. */
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv)
{
    g_autoptr(GDir) folder = argc == 2 ? g_dir_open(argv[1], 0, NULL) : NULL;
    if (folder == NULL) {
        fprintf(stderr, "usage: %s CORPUS-FOLDER\n", argv[0]);
        return 2;
    }
    int n = 0;
    const char *name;
    while ((name = g_dir_read_name(folder)) != NULL) {
        g_autofree char *path = g_build_filename(argv[1], name, NULL);
        g_autofree char *bytes = NULL;
        gsize length = 0;
        bool read = g_file_get_contents(path, &bytes, &length, NULL);
        if (read) {
            /* An exact-size copy, so that a read past the end is seen by the sanitizer. */
            g_autofree uint8_t *exact = g_memdup2(bytes, length);
            LLVMFuzzerTestOneInput(exact, length);
        }
        printf("%sok %d - %s\n", read ? "" : "not ", ++n, name);
        fflush(stdout);
    }
    printf("1..%d\n", n);
    return n > 0 ? 0 : 1;
}
