/* Quantities: what is accepted, what is refused, and that formatting parses back. */
#include <glib.h>
#include <string.h>

#include "base/quantity.h"

#define YEAR_MS (INT64_C(366) * 86400 * 1000)

struct sample {
    const char *text;
    int64_t value;
};

static void assert_parses(bool (*parse)(const char *text, int64_t *ret), const struct sample *samples, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int64_t value = -1;
        g_test_message("%s", samples[i].text);
        g_assert_true(parse(samples[i].text, &value));
        g_assert_cmpint(value, ==, samples[i].value);
    }
}

static void assert_refuses(bool (*parse)(const char *text, int64_t *ret), const char *const *texts)
{
    for (; *texts != NULL; texts++) {
        int64_t value = 4711;
        g_test_message("'%s'", *texts);
        g_assert_false(parse(*texts, &value));
        g_assert_cmpint(value, ==, 4711);
    }
}

static bool any_int(const char *text, int64_t *ret)
{
    return int_parse(text, INT64_MIN, INT64_MAX, ret);
}

static void integers(void)
{
    static const struct sample good[] = {{"0", 0},
                                         {"7", 7},
                                         {"-7", -7},
                                         {"007", 7},
                                         {"9223372036854775807", INT64_MAX},
                                         {"-9223372036854775807", -INT64_MAX}};
    static const char *const bad[] = {"",
                                      "-",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "1x",
                                      "0x10",
                                      "--1",
                                      "1-",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "99999999999999999999999",
                                      "1e3",
                                      "1.0",
                                      "\xd9\xa1",
                                      NULL};
    assert_parses(any_int, good, G_N_ELEMENTS(good));
    assert_refuses(any_int, bad);
    int64_t value = 0;
    g_assert_true(int_parse("65535", 1, 65535, &value));
    g_assert_false(int_parse("65536", 1, 65535, &value));
    g_assert_false(int_parse("0", 1, 65535, &value));
    g_assert_cmpint(value, ==, 65535);
}

static void durations(void)
{
    static const struct sample good[] = {{"0", 0},           {"0s", 0},
                                         {"30", 30000},      {"500ms", 500},
                                         {"5s", 5000},       {"2m", 120000},
                                         {"1h", 3600000},    {"7d", 604800000},
                                         {"1h30m", 5400000}, {"1d1h1m1s1ms", 90061001},
                                         {"90m", 5400000},   {"3660d", 10 * YEAR_MS}};
    static const char *const bad[] = {"",
                                      "s",
                                      "-1s",
                                      "+1s",
                                      "1.5s",
                                      "1 s",
                                      "1s ",
                                      " 1s",
                                      "5S",
                                      "1w",
                                      "1y",
                                      "30m1h",
                                      "1s1s",
                                      "1ms1s",
                                      "1h30",
                                      "1hm",
                                      "1h-3m",
                                      "3661d",
                                      "999999999999999999999s",
                                      "9223372036854775807d",
                                      "1m 1s",
                                      NULL};
    assert_parses(duration_parse, good, G_N_ELEMENTS(good));
    assert_refuses(duration_parse, bad);
}

static void sizes(void)
{
    static const struct sample good[] = {{"0", 0},
                                         {"512", 512},
                                         {"64Ki", 65536},
                                         {"256Mi", INT64_C(256) << 20},
                                         {"1Gi", INT64_C(1) << 30},
                                         {"2Ti", INT64_C(2) << 40},
                                         {"10k", 10000},
                                         {"256M", 256000000},
                                         {"1G", 1000000000},
                                         {"1T", INT64_C(1000000000000)},
                                         {"9223372036854775807", INT64_MAX}};
    static const char *const bad[] = {"",          "Ki",
                                      "-1",        "+1",
                                      "1.5Gi",     "1 Gi",
                                      "1Gi ",      "1gi",
                                      "1GiB",      "1MB",
                                      "1K",        "1m",
                                      "1B",        "9223372036854775808",
                                      "8388608Ti", "9007199254740992Ki",
                                      "1Mi1",      NULL};
    assert_parses(size_parse, good, G_N_ELEMENTS(good));
    assert_refuses(size_parse, bad);
}

static void cpus(void)
{
    static const struct sample good[] = {
        {"500m", 500}, {"0.5", 500},    {"2", 2000}, {"0", 0},    {"1.25", 1250},
        {"0.001", 1},  {"1.500", 1500}, {"0m", 0},   {"12m", 12}, {"9223372036854775", INT64_C(9223372036854775000)}};
    static const char *const bad[] = {"",
                                      ".5",
                                      "0.",
                                      "1.m",
                                      "1.5m",
                                      "-1",
                                      "+1",
                                      "0.0005",
                                      "1.2345",
                                      "m",
                                      "1M",
                                      "1 ",
                                      "1,5",
                                      "1e3",
                                      "9223372036854776",
                                      "9223372036854775.999",
                                      NULL};
    assert_parses(cpu_parse, good, G_N_ELEMENTS(good));
    assert_refuses(cpu_parse, bad);
}

static int64_t any_value(GRand *random, int64_t limit)
{
    int64_t value = (int64_t)(((guint64)g_rand_int(random) << 32 | g_rand_int(random)) >> 1);
    value >>= g_rand_int_range(random, 0, 63);
    if (g_rand_boolean(random)) { /* round values are what the units are for */
        static const int64_t steps[] = {1000, 60000, 3600000, 86400000, 1024, 1 << 20, 1 << 30};
        int64_t step = steps[g_rand_int_range(random, 0, G_N_ELEMENTS(steps))];
        value -= value % step;
    }
    return value % (limit + 1);
}

static void what_is_formatted_parses_back(void)
{
    GRand *random = g_rand_new_with_seed(2);
    for (int i = 0; i < 50000; i++) {
        char text[QUANTITY_LENGTH];
        int64_t back = -1;
        int64_t duration = i == 0 ? 0 : any_value(random, 10 * YEAR_MS);
        duration_format(duration, text);
        g_assert_true(duration_parse(text, &back));
        g_assert_cmpint(back, ==, duration);
        int64_t size = i == 0 ? 0 : i == 1 ? INT64_MAX : any_value(random, INT64_MAX - 1);
        size_format(size, text);
        g_assert_true(size_parse(text, &back));
        g_assert_cmpint(back, ==, size);
        cpu_format(size, text);
        g_assert_true(cpu_parse(text, &back));
        g_assert_cmpint(back, ==, size);
    }
    g_rand_free(random);
}

static void formatting_is_short(void)
{
    char text[QUANTITY_LENGTH];
    duration_format(5400000, text);
    g_assert_cmpstr(text, ==, "90m");
    duration_format(86400000, text);
    g_assert_cmpstr(text, ==, "1d");
    duration_format(0, text);
    g_assert_cmpstr(text, ==, "0s");
    size_format(INT64_C(256) << 20, text);
    g_assert_cmpstr(text, ==, "256Mi");
    size_format(0, text);
    g_assert_cmpstr(text, ==, "0");
    cpu_format(2000, text);
    g_assert_cmpstr(text, ==, "2");
    cpu_format(1500, text);
    g_assert_cmpstr(text, ==, "1500m");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/quantity/" #name, name)
    ADD(integers);
    ADD(durations);
    ADD(sizes);
    ADD(cpus);
    ADD(what_is_formatted_parses_back);
    ADD(formatting_is_short);
    return g_test_run();
}
