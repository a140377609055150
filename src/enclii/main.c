/* enclii: the command line. */
#include "enclii/cli.h"

int main(int argc, char **argv)
{
    struct cli cli = {.exit_code = 0};
    g_autoptr(GError) error = NULL;
    return commands[0]->run(&cli, &error) ? cli.exit_code : 1;
}
