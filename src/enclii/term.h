/* The terminal: width, colours. */
#pragma once

#include "enclii/cli.h"

enum colour { COLOUR_BOLD, COLOUR_DIM, COLOUR_RED, COLOUR_GREEN, COLOUR_YELLOW };

/* Columns of the terminal behind `fd`; 0 when it is none. */
int term_width(int fd);

/* The text in a colour when cli has colours, else a plain copy. */
char *term_paint(const struct cli *cli, enum colour colour, const char *text);

/* 1 once Ctrl-C was pressed, for http_exchange.cancelled. The first call installs the handler; the
 * second Ctrl-C ends the program as usual. */
const int *term_interrupted(void);
