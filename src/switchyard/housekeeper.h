/* What has to be done now and then, whatever happens: garbage collection within the disk budget, every ten minutes. */
#pragma once

#include "switchyard/app.h"

struct housekeeper;
struct housekeeper *housekeeper_new(struct app *app);
void housekeeper_free(struct housekeeper *housekeeper);
