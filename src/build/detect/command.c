#include <string.h>

#include "build/detect/detector.h"

#define PORT_MARK "${PORT}"

struct splitting {
    const char *at;
    GStrvBuilder *words;
    GString *word;
    bool has_word;
    const char *reason;
};

/* $PORT or ${PORT}, and no other variable. */
static void take_variable(struct splitting *splitting)
{
    const char *p = splitting->at;
    size_t length = g_str_has_prefix(p, PORT_MARK) ? strlen(PORT_MARK) : g_str_has_prefix(p, "$PORT") ? 5 : 0;
    if (length == 0 || (length == 5 && (g_ascii_isalnum(p[5]) || p[5] == '_'))) {
        splitting->reason = "it uses a variable other than $PORT, or a “$” of its own";
        return;
    }
    g_string_append(splitting->word, PORT_MARK);
    splitting->at += length;
}

static void take_single_quoted(struct splitting *splitting)
{
    const char *end = strchr(splitting->at + 1, '\'');
    if (end == NULL) {
        splitting->reason = "a quote is not closed";
        return;
    }
    if (memchr(splitting->at, '$', (size_t)(end - splitting->at)) != NULL) {
        splitting->reason = "it holds a “$” of its own";
        return;
    }
    g_string_append_len(splitting->word, splitting->at + 1, end - splitting->at - 1);
    splitting->at = end + 1;
}

static void take_double_quoted(struct splitting *splitting)
{
    splitting->at++;
    while (splitting->reason == NULL && *splitting->at != '"') {
        char c = *splitting->at;
        if (c == '\0') {
            splitting->reason = "a quote is not closed";
        } else if (c == '`') {
            splitting->reason = "it runs a command inside the command";
        } else if (c == '$') {
            take_variable(splitting);
        } else if (c == '\\' && (splitting->at[1] == '$' || splitting->at[1] == '`')) {
            splitting->reason = "it holds a “$” or “`” of its own";
        } else {
            splitting->at += c == '\\' && (splitting->at[1] == '"' || splitting->at[1] == '\\');
            g_string_append_c(splitting->word, *splitting->at++);
        }
    }
    splitting->at += splitting->reason == NULL;
}

static const char *shell_only(const struct splitting *splitting, char c)
{
    if (strchr("|&;<>()`", c) != NULL) {
        return "it uses pipes, redirections or several commands";
    }
    if (strchr("*?[", c) != NULL) {
        return "it uses patterns for file names";
    }
    if (!splitting->has_word && strchr("~#!", c) != NULL) {
        return "it begins a word with “~”, “#” or “!”";
    }
    return NULL;
}

static void end_word(struct splitting *splitting)
{
    if (splitting->has_word) {
        g_strv_builder_add(splitting->words, splitting->word->str);
        g_string_truncate(splitting->word, 0);
        splitting->has_word = false;
    }
}

static void take_one(struct splitting *splitting)
{
    char c = *splitting->at;
    if (c == ' ' || c == '\t') {
        end_word(splitting);
        splitting->at++;
        return;
    }
    splitting->reason = shell_only(splitting, c);
    if (splitting->reason != NULL) {
        return;
    }
    splitting->has_word = true;
    if (c == '\'') {
        take_single_quoted(splitting);
    } else if (c == '"') {
        take_double_quoted(splitting);
    } else if (c == '$') {
        take_variable(splitting);
    } else if (c == '\\' && (splitting->at[1] == '\0' || strchr("$`", splitting->at[1]) != NULL)) {
        splitting->reason = "it holds a “$” or “`” of its own, or ends with “\\”";
    } else {
        splitting->at += c == '\\';
        g_string_append_c(splitting->word, *splitting->at++);
    }
}

/* Words that only a shell knows. */
static const char *check_first(char **argv)
{
    static const char *const builtins[] = {"cd",    ".",      "source", "export", "eval",  "set",   "unset",
                                           "umask", "ulimit", "if",     "for",    "while", "until", "case",
                                           "[[",    "{",      "trap",   "wait",   "alias", NULL};
    const char *equals;
    if (argv[0] == NULL || *argv[0] == '\0') {
        return "it is empty";
    }
    if (g_strv_contains(builtins, argv[0])) {
        return "it begins with a word that only a shell knows";
    }
    equals = strchr(argv[0], '=');
    if (equals != NULL && memchr(argv[0], '/', (size_t)(equals - argv[0])) == NULL) {
        return "it sets a variable: write that as env in enclii.yaml";
    }
    return NULL;
}

char **command_split(const char *text, const char **ret_reason)
{
    g_autoptr(GStrvBuilder) words = g_strv_builder_new();
    g_autoptr(GString) word = g_string_new(NULL);
    struct splitting splitting = {.at = text, .words = words, .word = word};
    for (const char *p = text; *p != '\0'; p++) {
        if ((unsigned char)*p < ' ' && *p != '\t') {
            *ret_reason = "it holds a control character";
            return NULL;
        }
    }
    while (splitting.reason == NULL && *splitting.at != '\0') {
        take_one(&splitting);
    }
    if (splitting.reason != NULL) {
        *ret_reason = splitting.reason;
        return NULL;
    }
    end_word(&splitting);
    g_auto(GStrv) argv = g_strv_builder_end(words);
    if (argv[0] != NULL && strcmp(argv[0], "exec") == 0 && argv[1] != NULL) {
        g_free(argv[0]);
        memmove(argv, argv + 1, g_strv_length(argv + 1) * sizeof *argv + sizeof *argv);
    }
    *ret_reason = check_first(argv);
    return *ret_reason == NULL ? g_steal_pointer(&argv) : NULL;
}

/* env -S: blanks split, inside double quotes \ escapes and ${NAME} is replaced (coreutils manual, env invocation). */
static char *env_string(char **argv)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./:_=,@%+-${}";
    GString *text = g_string_new(NULL);
    for (; *argv != NULL; argv++) {
        bool is_plain = **argv != '\0' && strspn(*argv, plain) == strlen(*argv);
        g_string_append(text, is_plain ? "" : "\"");
        for (const char *p = *argv; *p != '\0'; p++) {
            g_string_append_printf(text, *p == '"' || *p == '\\' ? "\\%c" : "%c", *p);
        }
        g_string_append_printf(text, "%s%s", is_plain ? "" : "\"", argv[1] != NULL ? " " : "");
    }
    return g_string_free(text, FALSE);
}

char **command_runnable(char **argv)
{
    bool has_port = false;
    for (char **word = argv; word != NULL && *word != NULL; word++) {
        has_port = has_port || strstr(*word, PORT_MARK) != NULL;
    }
    if (!has_port) {
        return g_strdupv(argv);
    }
    g_autofree char *string = env_string(argv);
    return g_strdupv((char *[]){(char *)"/usr/bin/env", (char *)"-S", string, NULL});
}
