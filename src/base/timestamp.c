#include "base/timestamp.h"

#include <glib.h>
#include <string.h>

#define US_PER_SECOND INT64_C(1000000)
#define LAST_SECOND INT64_C(253402300799) /* 9999-12-31T23:59:59Z */

/* Days since 1970-01-01 of a proleptic Gregorian date (H. Hinnant, "chrono-compatible low-level
 * date algorithms", days_from_civil). */
static int64_t days_from_civil(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = year / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

/* The inverse, civil_from_days of the same source; `days` is not negative here. */
static void civil_from_days(int64_t days, int *ret_year, int *ret_month, int *ret_day)
{
    days += 719468;
    int64_t era = days / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted_month = (5 * day_of_year + 2) / 153;
    *ret_day = (int)(day_of_year - (153 * shifted_month + 2) / 5 + 1);
    *ret_month = (int)(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
    *ret_year = (int)(year_of_era + era * 400 + (*ret_month <= 2));
}

/* 00 to 99, and what stands behind it. */
static void put_two(char *out, unsigned value, char behind)
{
    out[0] = (char)('0' + value / 10);
    out[1] = (char)('0' + value % 10);
    out[2] = behind;
}

void timestamp_format(int64_t time_us, char out[TIMESTAMP_LENGTH + 1])
{
    int64_t clamped = CLAMP(time_us, 0, LAST_SECOND * US_PER_SECOND + US_PER_SECOND - 1);
    int64_t seconds = clamped / US_PER_SECOND;
    int year;
    int month;
    int day;
    civil_from_days(seconds / 86400, &year, &month, &day);
    unsigned of_day = (unsigned)(seconds % 86400);
    unsigned us = (unsigned)(clamped % US_PER_SECOND);
    put_two(out, (unsigned)year / 100, '\0');
    put_two(out + 2, (unsigned)year % 100, '-');
    put_two(out + 5, (unsigned)month, '-');
    put_two(out + 8, (unsigned)day, 'T');
    put_two(out + 11, of_day / 3600, ':');
    put_two(out + 14, of_day / 60 % 60, ':');
    put_two(out + 17, of_day % 60, '.');
    put_two(out + 20, us / 10000, '\0');
    put_two(out + 22, us / 100 % 100, '\0');
    put_two(out + 24, us % 100, 'Z');
    out[TIMESTAMP_LENGTH] = '\0';
}

static bool take_digits(const char **text, int count, int low, int high, int *ret_value)
{
    int value = 0;
    for (int i = 0; i < count; i++) {
        if (!g_ascii_isdigit((*text)[i])) {
            return false;
        }
        value = value * 10 + ((*text)[i] - '0');
    }
    if (value < low || value > high) {
        return false;
    }
    *text += count;
    *ret_value = value;
    return true;
}

static bool take_one_of(const char **text, const char *set)
{
    if (**text == '\0' || strchr(set, **text) == NULL) {
        return false;
    }
    (*text)++;
    return true;
}

static bool take_fraction(const char **text, int *ret_us)
{
    int us = 0;
    int digits = 0;
    if (**text == '.') {
        (*text)++;
        for (; g_ascii_isdigit(**text); (*text)++, digits++) {
            if (digits < 6) {
                us = us * 10 + (**text - '0');
            }
        }
        if (digits == 0 || digits > 9) {
            return false;
        }
        for (; digits < 6; digits++) {
            us *= 10;
        }
    }
    *ret_us = us;
    return true;
}

static bool take_offset(const char **text, int *ret_seconds)
{
    if (take_one_of(text, "Zz")) {
        *ret_seconds = 0;
        return true;
    }
    int sign = **text == '-' ? -1 : 1;
    int hours;
    int minutes;
    if (!take_one_of(text, "+-") || !take_digits(text, 2, 0, 23, &hours) || !take_one_of(text, ":") ||
        !take_digits(text, 2, 0, 59, &minutes)) {
        return false;
    }
    *ret_seconds = sign * (hours * 3600 + minutes * 60);
    return true;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

bool timestamp_parse(const char *text, int64_t *ret_time_us)
{
    int year;
    int month;
    int day;
    int hour;
    int minute;
    int second;
    int us;
    int offset;
    if (!take_digits(&text, 4, 1970, 9999, &year) || !take_one_of(&text, "-") ||
        !take_digits(&text, 2, 1, 12, &month) || !take_one_of(&text, "-") ||
        !take_digits(&text, 2, 1, days_in_month(year, month), &day) || !take_one_of(&text, "Tt ") ||
        !take_digits(&text, 2, 0, 23, &hour) || !take_one_of(&text, ":") || !take_digits(&text, 2, 0, 59, &minute) ||
        !take_one_of(&text, ":") || !take_digits(&text, 2, 0, 60, &second) || !take_fraction(&text, &us) ||
        !take_offset(&text, &offset) || *text != '\0') {
        return false;
    }
    int64_t seconds = days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset;
    *ret_time_us = seconds * US_PER_SECOND + us;
    return true;
}
