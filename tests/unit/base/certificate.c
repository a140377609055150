#include "certificate.h"

#include "base/process.h"

void certificate_make(const char *certificate, const char *key)
{
    /* clang-format off */
    const char *const argv[] = {
        "openssl", "req", "-x509", "-nodes", "-days", "1",
        "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
        "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
        "-keyout", key, "-out", certificate, NULL};
    /* clang-format on */
    const struct process_spec spec = {.argv = argv, .stdin_fd = -1, .timeout_ms = 30000};
    g_auto(process_result_t) result = {0};
    g_autoptr(GError) error = NULL;
    g_assert_true(process_run(&spec, &result, &error));
    g_assert_cmpint(result.exit_status, ==, 0);
}
