/* What only load.c needs of a wire. */
#pragma once

#include "load.h"

void wire_event(struct wire *wire, uint32_t events);
void wire_free(gpointer data);
