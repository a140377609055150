/* How many may leave at a time. */
#include "plan/pace.h"

#include <glib.h>

static void one_service_leaves_at_a_time_when_few_run(void)
{
    for (int64_t n = 0; n < 40; n++) {
        g_assert_cmpint(pace_step(n), ==, 1);
    }
}

static void a_step_is_never_more_than_five_percent_of_many(void)
{
    g_assert_cmpint(pace_step(40), ==, 2);
    for (int64_t n = 40; n < 10000; n++) {
        g_assert_cmpint(pace_step(n) * 100, <=, n * 5);
        g_assert_cmpint((pace_step(n) + 1) * 100, >, n * 5);
    }
}

static void there_is_room_for_what_is_left_of_the_step(void)
{
    g_assert_cmpint(pace_room(3, 0), ==, 1);
    g_assert_cmpint(pace_room(3, 1), ==, 0);
    g_assert_cmpint(pace_room(100, 2), ==, 3);
    g_assert_cmpint(pace_room(0, 0), ==, 1);
    g_assert_cmpint(pace_room(3, 7), ==, 0); /* services that their owners deleted one by one */
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pace/one_service_leaves_at_a_time_when_few_run", one_service_leaves_at_a_time_when_few_run);
    g_test_add_func("/pace/a_step_is_never_more_than_five_percent_of_many",
                    a_step_is_never_more_than_five_percent_of_many);
    g_test_add_func("/pace/there_is_room_for_what_is_left_of_the_step", there_is_room_for_what_is_left_of_the_step);
    return g_test_run();
}
