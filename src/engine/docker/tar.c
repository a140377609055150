#include "engine/docker/tar.h"

#include <string.h>

enum { NAME = 0, MODE = 100, USER = 108, GROUP = 116, SIZE = 124, SUM = 148, TYPE = 156, MAGIC = 257 };

#define NAME_LENGTH 100
#define NUMBER_LENGTH 8
#define SIZE_LENGTH 12
#define LARGEST 07777777

static void put_octal(char *field, size_t width, uint64_t value)
{
    g_snprintf(field, width, "%0*" G_GINT64_MODIFIER "o", (int)width - 1, value);
}

/* Octal digits, then a NUL or a blank. */
static bool get_octal(const char *field, size_t width, uint64_t *ret_value)
{
    uint64_t value = 0;
    size_t i = 0;
    for (; i < width && field[i] >= '0' && field[i] <= '7'; i++) {
        value = value * 8 + (uint64_t)(field[i] - '0');
    }
    *ret_value = value;
    return i > 0 && i < width && (field[i] == '\0' || field[i] == ' ');
}

GString *tar_folder(const char *name, int64_t user, int64_t group, unsigned mode)
{
    char head[TAR_BLOCK] = {0};
    if (*name == '\0' || strlen(name) >= NAME_LENGTH - 1 || user < 0 || user > LARGEST || group < 0 ||
        group > LARGEST) {
        return NULL;
    }
    g_snprintf(head + NAME, NAME_LENGTH, "%s/", name);
    put_octal(head + MODE, NUMBER_LENGTH, mode & 07777);
    put_octal(head + USER, NUMBER_LENGTH, (uint64_t)user);
    put_octal(head + GROUP, NUMBER_LENGTH, (uint64_t)group);
    put_octal(head + SIZE, SIZE_LENGTH, 0);
    put_octal(head + SIZE + SIZE_LENGTH, SIZE_LENGTH, 0); /* time of the last change */
    head[TYPE] = '5';
    memcpy(head + MAGIC, "ustar\00000", 8);
    memset(head + SUM, ' ', NUMBER_LENGTH);
    unsigned sum = 0;
    for (size_t i = 0; i < TAR_BLOCK; i++) {
        sum += (unsigned char)head[i];
    }
    put_octal(head + SUM, NUMBER_LENGTH - 1, sum);
    GString *tar = g_string_sized_new(3 * TAR_BLOCK);
    g_string_append_len(tar, head, TAR_BLOCK);
    memset(head, 0, sizeof head); /* two empty blocks end an archive */
    g_string_append_len(tar, head, TAR_BLOCK);
    g_string_append_len(tar, head, TAR_BLOCK);
    return tar;
}

bool tar_first_owner(const void *bytes, size_t length, int64_t *ret_user, unsigned *ret_mode)
{
    const char *head = bytes;
    uint64_t user;
    uint64_t mode;
    if (length < TAR_BLOCK || memcmp(head + MAGIC, "ustar", 5) != 0 || head[TYPE] == 'x' || head[TYPE] == 'g' ||
        !get_octal(head + USER, NUMBER_LENGTH, &user) || !get_octal(head + MODE, NUMBER_LENGTH, &mode)) {
        return false;
    }
    *ret_user = (int64_t)user;
    *ret_mode = (unsigned)(mode & 07777);
    return true;
}
