/* Looks at everything Enclii stands on and says, for each finding, how to mend it. */
#pragma once

#include "model/reply.h"
#include "switchyard/app.h"

struct doctor_report *doctor_examine(struct app *app);
