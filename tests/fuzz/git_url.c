/* Git URLs and refs: what is taken has no blank, control character or leading '-', and its host, if an address, is public. */
#include <glib.h>
#include <stdint.h>
#include <string.h>

#include "build/address.h"
#include "build/git_url.h"
#include "build/source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autoptr(GError) error = NULL;
    g_autoptr(GError) ref_error = NULL;
    g_auto(git_url_t) url = {0};
    bool ok = git_url_parse(text, 0, &url, &error);
    g_assert_true(ok == (error == NULL));
    if (ok) {
        struct sockaddr_storage address;
        bool is_malformed;
        g_assert_true(*text != '-' && *url.host != '-' && url.port >= 1 && url.port <= 65535);
        g_assert_true(strpbrk(text, " \t\r\n\\'\"`;|&<>#?") == NULL);
        g_assert_true(!address_from_literal(url.host, &address, &is_malformed) ||
                      address_is_public((const struct sockaddr *)&address));
    }
    bool is_ref = source_check_git_ref(text, &ref_error);
    g_assert_true(is_ref == (ref_error == NULL) && (!is_ref || *text != '-'));
    return 0;
}
