/* What has to be done now and then, whatever happens: garbage collection within the disk budget, every ten minutes, and a look
 * whether lost images are there again, every ten seconds. Only the leader does. */
#pragma once

#include "switchyard/app.h"

struct housekeeper;
struct housekeeper *housekeeper_new(struct app *app);
void housekeeper_free(struct housekeeper *housekeeper);
