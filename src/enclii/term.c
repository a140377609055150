#include "enclii/term.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const char *const codes[] = {
    [COLOUR_BOLD] = "1", [COLOUR_DIM] = "2", [COLOUR_RED] = "31", [COLOUR_GREEN] = "32", [COLOUR_YELLOW] = "33",
};

int term_width(int fd)
{
    struct winsize size = {0};
    return isatty(fd) == 1 && ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

char *term_paint(const struct cli *cli, enum colour colour, const char *text)
{
    return cli->has_colour ? g_strdup_printf("\033[%sm%s\033[0m", codes[colour], text) : g_strdup(text);
}

static int interrupted;

static void on_interrupt(int signal_number)
{
    g_atomic_int_set(&interrupted, 1);
}

const int *term_interrupted(void)
{
    static bool is_installed;
    if (!is_installed) {
        struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
        sigemptyset(&action.sa_mask);
        sigaction(SIGINT, &action, NULL);
        is_installed = true;
    }
    return &interrupted;
}
