/* The OpenAPI 3.1 document, from the route and type tables. */
#pragma once

#include <glib.h>

GString *openapi_write(void);
