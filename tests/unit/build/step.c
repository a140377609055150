/* What build steps run in tests: a static program, so that FROM scratch is enough. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int allocate(long mebibytes)
{
    size_t size = (size_t)mebibytes << 20;
    char *bytes = malloc(size);
    if (bytes == NULL) {
        return 1;
    }
    memset(bytes, 1, size);
    printf("took %ld MiB, %d\n", mebibytes, bytes[size - 1]);
    return 0;
}

static int copy(const char *from, const char *to)
{
    char bytes[65536];
    FILE *in = fopen(from, "r");
    FILE *out = in != NULL ? fopen(to, "w") : NULL;
    size_t length = out != NULL ? fread(bytes, 1, sizeof bytes, in) : 0;
    return length > 0 && fwrite(bytes, 1, length, out) == length && fclose(out) == 0 ? 0 : 1;
}

static int print_variable(const char *name)
{
    const char *value = getenv(name);
    printf("%s is %s\n", name, value != NULL ? value : "not set");
    return 0;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    const char *argument = argc > 2 ? argv[2] : "1";
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (strcmp(what, "allocate") == 0) {
        return allocate(strtol(argument, NULL, 10));
    }
    if (strcmp(what, "copy") == 0 && argc > 3) {
        return copy(argument, argv[3]);
    }
    if (strcmp(what, "variable") == 0) {
        return print_variable(argument);
    }
    if (strcmp(what, "fail") == 0) {
        puts("compiling shop.c");
        fputs("shop.c:3: error: no such thing\n", stderr);
        return (int)strtol(argument, NULL, 10);
    }
    if (strcmp(what, "wait") == 0) {
        puts("waiting");
        sleep((unsigned)strtol(argument, NULL, 10));
    }
    return 0;
}
