#include "plan/pace.h"

#include <glib.h>

#define PERCENT_A_STEP 5

int64_t pace_step(int64_t n_running)
{
    return MAX(n_running * PERCENT_A_STEP / 100, 1);
}

int64_t pace_room(int64_t n_running, int64_t n_leaving)
{
    return MAX(pace_step(n_running) - n_leaving, 0);
}
