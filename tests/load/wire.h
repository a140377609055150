/* What only load.c needs of a wire. */
#pragma once

#include "load.h"

void wire_event(struct wire *wire, uint32_t events);
/* Wires for which there was no file descriptor end here. */
void wire_tell_unopened(struct load *load);
void wire_free(gpointer data);
