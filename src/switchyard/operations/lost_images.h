/* Images that the engine had not when a container was to be made of them (job_image.c marks their releases) may come back: an
 * engine that was started with another data folder gets its own again, somebody loads them from an archive. */
#pragma once

#include "switchyard/app.h"

/* Takes the mark from releases whose image is there again under its own tag. Looks at a page of those that are marked, the one
 * behind *cursor (NULL: the first), and moves it on: an engine that lost everything leaves tens of thousands of them. Asks the engine
 * for its list of tags, once, and not at all when no release is marked. *cursor is the caller's to free. */
bool lost_images_look(struct app *app, char **cursor, GError **error) G_GNUC_WARN_UNUSED_RESULT;
