/* Times against GLib's calendar. */
#include <glib.h>
#include <string.h>

#include "base/timestamp.h"

#define DAY_US (INT64_C(86400) * 1000000)
#define LAST_US INT64_C(253402300799999999)

static void formats_and_parses(void)
{
    static const struct {
        const char *text;
        int64_t time_us;
    } cases[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01T00:00:00.000001Z", 1},
        {"2000-02-29T23:59:59.999999Z", INT64_C(951868799999999)},
        {"2026-11-23T16:05:09.123456Z", INT64_C(1795449909123456)},
        {"2026-11-23t16:05:09.123456z", INT64_C(1795449909123456)},
        {"2026-11-23 16:05:09.123456Z", INT64_C(1795449909123456)},
        {"2026-11-23T16:05:09.123456789Z", INT64_C(1795449909123456)},
        {"2026-11-23T16:05:09.1Z", INT64_C(1795449909100000)},
        {"2026-11-23T18:05:09+02:00", INT64_C(1795449909000000)},
        {"2026-11-23T08:35:09-07:30", INT64_C(1795449909000000)},
        {"2026-11-24T00:00:00+00:00", INT64_C(1795478400000000)},
        {"2016-12-31T23:59:60Z", INT64_C(1483228800000000)}, /* a leap second is the next day's first */
        {"9999-12-31T23:59:59.999999Z", LAST_US},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        int64_t time_us = -1;
        g_test_message("%s", cases[i].text);
        g_assert_true(timestamp_parse(cases[i].text, &time_us));
        g_assert_cmpint(time_us, ==, cases[i].time_us);
    }
}

static void refuses_what_is_no_time(void)
{
    static const char *const bad[] = {"",
                                      "2026",
                                      "2026-11-23",
                                      "2026-11-23T16:05:09",
                                      "2026-11-23T16:05Z",
                                      "2026-11-23T16:05:09.Z",
                                      "2026-11-23T16:05:09.1234567890Z",
                                      "2026-11-23T16:05:09Zx",
                                      "2026-11-23T16:05:09Z ",
                                      " 2026-11-23T16:05:09Z",
                                      "2026-13-01T00:00:00Z",
                                      "2026-00-01T00:00:00Z",
                                      "2026-01-00T00:00:00Z",
                                      "2026-01-32T00:00:00Z",
                                      "2026-02-29T00:00:00Z",
                                      "2100-02-29T00:00:00Z",
                                      "2026-04-31T00:00:00Z",
                                      "2026-11-23T24:00:00Z",
                                      "2026-11-23T16:60:00Z",
                                      "2026-11-23T16:05:61Z",
                                      "2026-11-23T16:05:09+24:00",
                                      "2026-11-23T16:05:09+02:60",
                                      "2026-11-23T16:05:09+0200",
                                      "2026-11-23T16:05:09+02",
                                      "2026-11-23T16:05:09-",
                                      "20261123T160509Z",
                                      "2026-1-3T0:0:0Z",
                                      "1969-12-31T23:59:59Z",
                                      "-026-11-23T16:05:09Z",
                                      "+2026-11-23T16:05:09Z",
                                      "2026/11/23T16:05:09Z"};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        int64_t time_us = 4711;
        g_test_message("%s", bad[i]);
        g_assert_false(timestamp_parse(bad[i], &time_us));
        g_assert_cmpint(time_us, ==, 4711);
    }
}

static void every_day_is_that_of_the_calendar(void)
{
    char text[TIMESTAMP_LENGTH + 1];
    GDate date;
    g_date_clear(&date, 1);
    g_date_set_dmy(&date, 1, G_DATE_JANUARY, 1970);
    for (int64_t day = 0; day < 365 * 500; day++) {
        int64_t back = -1;
        timestamp_format(day * DAY_US + 3723000004, text);
        char expected[48];
        g_snprintf(expected, sizeof expected, "%04d-%02d-%02dT01:02:03.000004Z", g_date_get_year(&date),
                   g_date_get_month(&date), g_date_get_day(&date));
        g_assert_cmpstr(text, ==, expected);
        g_assert_true(timestamp_parse(text, &back));
        g_assert_cmpint(back, ==, day * DAY_US + 3723000004);
        g_date_add_days(&date, 1);
    }
}

static void any_time_survives_and_sorts_as_text(void)
{
    GRand *random = g_rand_new_with_seed(3);
    for (int i = 0; i < 50000; i++) {
        char a[TIMESTAMP_LENGTH + 1];
        char b[TIMESTAMP_LENGTH + 1];
        int64_t x = (int64_t)(g_rand_double(random) * (double)LAST_US);
        int64_t y = g_rand_boolean(random) ? x + g_rand_int_range(random, 0, 3) : x / 2;
        int64_t back = -1;
        y = MIN(y, LAST_US);
        timestamp_format(x, a);
        timestamp_format(y, b);
        g_assert_true(timestamp_parse(a, &back));
        g_assert_cmpint(back, ==, x);
        g_assert_cmpint((strcmp(a, b) > 0) - (strcmp(a, b) < 0), ==, (x > y) - (x < y));
    }
    g_rand_free(random);
}

static void what_lies_outside_is_clamped(void)
{
    char text[TIMESTAMP_LENGTH + 1];
    timestamp_format(INT64_MIN, text);
    g_assert_cmpstr(text, ==, "1970-01-01T00:00:00.000000Z");
    timestamp_format(INT64_MAX, text);
    g_assert_true(g_str_has_prefix(text, "9999-12-31T23:59:59"));
    timestamp_format(LAST_US, text);
    g_assert_cmpstr(text, ==, "9999-12-31T23:59:59.999999Z");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/timestamp/" #name, name)
    ADD(formats_and_parses);
    ADD(refuses_what_is_no_time);
    ADD(every_day_is_that_of_the_calendar);
    ADD(any_time_survives_and_sorts_as_text);
    ADD(what_lies_outside_is_clamped);
    return g_test_run();
}
