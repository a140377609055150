/* The routes: one row each, from which the server, the OpenAPI document and the access matrix come. */
#pragma once

#include "http/server.h"

extern const struct route routes[];
extern const size_t n_routes;
