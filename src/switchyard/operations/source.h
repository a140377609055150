/* Where uploaded sources lie: DATA_DIR/sources/<project id>/<sha256>. */
#pragma once

#include "switchyard/app.h"

char *source_path(const struct app *app, const char *project_id, const char *sha256);
bool source_is_there(const struct app *app, const char *project_id, const char *sha256);
