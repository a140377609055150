/* What people write as numbers, durations, sizes, CPUs and times: what is accepted is formatted and parsed back the same. */
#include "base/quantity.h"

#include <glib.h>

#include "base/id.h"
#include "base/timestamp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *what, const char *text, bool ok, int64_t value, bool ok_again, const int64_t *again)
{
    if (ok && (!ok_again || value != *again)) {
        g_printerr("%s '%s' does not survive\n", what, text);
        abort();
    }
}

static void check_time(const char *text)
{
    char formatted[TIMESTAMP_LENGTH + 1];
    int64_t time_us = 0;
    int64_t again = -1;
    if (timestamp_parse(text, &time_us) && time_us >= 0) { /* an offset may lead before 1970, which has no text form */
        timestamp_format(time_us, formatted);
        bool is_late = time_us > INT64_C(253402300799999999);
        check("time", text, !is_late, time_us, timestamp_parse(formatted, &again), &again);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    char formatted[QUANTITY_LENGTH];
    int64_t value = 0;
    int64_t again = -1;
    bool ok = duration_parse(text, &value);
    duration_format(value, formatted);
    check("duration", text, ok, value, duration_parse(formatted, &again), &again);
    value = 0;
    ok = size_parse(text, &value);
    size_format(value, formatted);
    check("size", text, ok, value, size_parse(formatted, &again), &again);
    value = 0;
    ok = cpu_parse(text, &value);
    cpu_format(value, formatted);
    check("cpu", text, ok, value, cpu_parse(formatted, &again), &again);
    value = 0;
    ok = int_parse(text, INT64_MIN, INT64_MAX, &value);
    g_snprintf(formatted, sizeof formatted, "%" G_GINT64_FORMAT, value);
    check("number", text, ok, value, int_parse(formatted, INT64_MIN, INT64_MAX, &again), &again);
    check_time(text);
    if (dns_label_is_valid(text)) {
        g_autofree char *label = dns_label_fit(text, true);
        g_assert_true(dns_label_is_valid(label));
    }
    (void)dns_name_is_valid(text);
    (void)uuid_is_valid(text);
    return 0;
}
