/* Images that the engine had not when a container was to be made of them (job_image.c marks their releases) may come back: an
 * engine that was started with another data folder gets its own again, somebody loads them from an archive. */
#pragma once

#include "switchyard/app.h"

/* Takes the mark from every release whose image is there again under its own tag. Asks the engine for its list of tags, once, and
 * not at all when no release is marked. */
bool lost_images_look(struct app *app, GError **error) G_GNUC_WARN_UNUSED_RESULT;
