/* Completion scripts, made from the table of commands: static, so that pressing Tab starts nothing.
 *
 * Names are letters, digits and hyphens; texts are quoted for the shell they are for. */
#include <string.h>

#include "enclii/options.h"
#include "enclii/reference.h"

/* For single quotes of any of the three shells. */
static char *quote(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, "'", -1);
    return g_strjoinv("’", parts);
}

static bool is_first_of_group(size_t index)
{
    const char *name = commands[index]->name;
    size_t length = strcspn(name, " ");
    return index == 0 || strncmp(commands[index - 1]->name, name, length) != 0 ||
           strchr(" ", commands[index - 1]->name[length]) == NULL;
}

/* The first words of all commands. */
static GPtrArray *first_words(void)
{
    GPtrArray *words = g_ptr_array_new_with_free_func(g_free);
    for (size_t i = 0; commands[i] != NULL; i++) {
        if (is_first_of_group(i)) {
            g_ptr_array_add(words, g_strndup(commands[i]->name, strcspn(commands[i]->name, " ")));
        }
    }
    g_ptr_array_add(words, NULL);
    return words;
}

static void append_members(GString *out, const char *group)
{
    size_t length = strlen(group);
    for (size_t i = 0; commands[i] != NULL; i++) {
        if (strncmp(commands[i]->name, group, length) == 0 && commands[i]->name[length] == ' ') {
            g_string_append_printf(out, "%s ", commands[i]->name + length + 1);
        }
    }
}

static void append_flag_words(GString *out, const struct flag *flags)
{
    for (const struct flag *flag = flags; flag != NULL && flag->name != NULL; flag++) {
        g_string_append_printf(out, "--%s ", flag->name);
    }
}

/* "bash|zsh|fish": operands that are one of a few words. NULL: any. */
static GStrv operand_words(const struct command *command)
{
    const char *arguments = command->arguments;
    bool is_choice = arguments != NULL && strchr(arguments, '|') != NULL &&
                     strspn(arguments, "abcdefghijklmnopqrstuvwxyz|") == strlen(arguments);
    return is_choice ? g_strsplit(arguments, "|", -1) : NULL;
}

static bool takes_file(const struct command *command)
{
    return command->arguments != NULL && strstr(command->arguments, "FILE") != NULL;
}

/* --- bash ---------------------------------------------------------------------------------------- */

/* After a flag come its words, or anything: no file, and no flag. */
static void append_bash_values(GString *out, const struct flag *flags)
{
    for (const struct flag *flag = flags; flag != NULL && flag->name != NULL; flag++) {
        g_autofree char *words = flag->words != NULL ? g_strjoinv(" ", (char **)flag->words) : g_strdup("");
        if (flag->value != NULL) {
            g_string_append_printf(out, "        --%s", flag->name);
            if (flag->letter != '\0') {
                g_string_append_printf(out, "|-%c", flag->letter);
            }
            g_string_append_printf(out, ") COMPREPLY=($(compgen -W '%s' -- \"$word\")); return ;;\n", words);
        }
    }
}

static void append_bash_operands(GString *out)
{
    for (size_t i = 0; commands[i] != NULL; i++) {
        g_auto(GStrv) choice = operand_words(commands[i]);
        g_autofree char *words = choice != NULL ? g_strjoinv(" ", choice) : NULL;
        bool is_member = strchr(commands[i]->name, ' ') != NULL;
        if (words != NULL || takes_file(commands[i])) {
            g_string_append_printf(out, is_member ? "        '%s') " : "        '%s '*) ", commands[i]->name);
            if (words != NULL) {
                g_string_append_printf(out, "choices='%s' ;;\n", words);
            } else {
                g_string_append(out, "[[ $word == -* ]] || { COMPREPLY=($(compgen -f -- \"$word\")); return; } ;;\n");
            }
        }
    }
}

static char *bash(void)
{
    g_autoptr(GPtrArray) words = first_words();
    g_autofree char *all = g_strjoinv(" ", (char **)words->pdata);
    GString *out =
        g_string_new("# bash completion for enclii; put it in ~/.local/share/bash-completion/completions/enclii\n"
                     "_enclii() {\n    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
                     "    local first='' second='' i\n"
                     "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
                     "        case ${COMP_WORDS[i]} in\n            -*) ;;\n"
                     "            *) if [[ -z $first ]]; then first=${COMP_WORDS[i]};"
                     " elif [[ -z $second ]]; then second=${COMP_WORDS[i]}; fi ;;\n        esac\n    done\n"
                     "    case $before in\n");
    append_bash_values(out, global_flags);
    g_string_append(out, "    esac\n");
    g_string_append_printf(out,
                           "    if [[ -z $first ]]; then COMPREPLY=($(compgen -W '%s' -- \"$word\")); return; fi\n"
                           "    local choices='' flags='",
                           all);
    append_flag_words(out, global_flags);
    g_string_append(out, "'\n    case $first in\n");
    for (guint i = 0; i + 1 < words->len; i++) {
        if (command_is_group(g_ptr_array_index(words, i))) {
            g_string_append_printf(out, "        %s) [[ -z $second ]] && choices='",
                                   (const char *)g_ptr_array_index(words, i));
            append_members(out, g_ptr_array_index(words, i));
            g_string_append(out, "' ;;\n");
        }
    }
    g_string_append(out, "    esac\n    case \"$first $second\" in\n");
    for (size_t i = 0; commands[i] != NULL; i++) {
        if (commands[i]->flags != NULL) {
            bool is_member = strchr(commands[i]->name, ' ') != NULL;
            g_string_append_printf(out, is_member ? "        '%s') flags+='" : "        '%s '*) flags+='",
                                   commands[i]->name);
            append_flag_words(out, commands[i]->flags);
            g_string_append(out, "'\n            case $before in\n");
            append_bash_values(out, commands[i]->flags);
            g_string_append(out, "            esac ;;\n");
        }
    }
    g_string_append(out, "    esac\n    case \"$first $second\" in\n");
    append_bash_operands(out);
    g_string_append(out, "    esac\n    [[ $word == -* ]] && choices=$flags\n"
                         "    COMPREPLY=($(compgen -W \"$choices\" -- \"$word\"))\n}\n"
                         "complete -F _enclii enclii\n");
    return g_string_free(out, FALSE);
}

/* --- zsh ----------------------------------------------------------------------------------------- */

static void append_zsh_flags(GString *out, const struct flag *flags)
{
    for (const struct flag *flag = flags; flag != NULL && flag->name != NULL; flag++) {
        g_autofree char *doc = quote(flag->doc);
        g_strdelimit(doc, "[]:", ' ');
        g_string_append_printf(out, " '--%s[%s]", flag->name, doc);
        if (flag->words != NULL) {
            g_autofree char *words = g_strjoinv(" ", (char **)flag->words);
            g_string_append_printf(out, ":%s:(%s)", flag->name, words);
        } else if (flag->value != NULL) {
            g_string_append_printf(out, ":%s:", flag->name);
        }
        g_string_append_c(out, '\'');
    }
}

static char *zsh(void)
{
    GString *out = g_string_new(
        "#compdef enclii\n# zsh completion for enclii; put it in a folder of $fpath as _enclii\n"
        "_enclii() {\n    local -a names\n    local key=\"${words[2]}\"\n    case \"${words[2]} ${words[3]}\" in\n");
    for (size_t i = 0; commands[i] != NULL; i++) {
        if (strchr(commands[i]->name, ' ') != NULL) {
            g_string_append_printf(out, "        '%s') key='%s' ;;\n", commands[i]->name, commands[i]->name);
        }
    }
    g_string_append(out, "    esac\n    if ((CURRENT == 2)); then\n        names=(");
    g_autoptr(GPtrArray) words = first_words();
    for (guint i = 0; i + 1 < words->len; i++) {
        const struct command *command = command_find(g_ptr_array_index(words, i));
        g_autofree char *summary = quote(command != NULL ? command->summary : "a group of commands");
        g_strdelimit(summary, ":", ' ');
        g_string_append_printf(out, "\n            '%s:%s'", (const char *)g_ptr_array_index(words, i), summary);
    }
    g_string_append(out, ")\n        _describe command names\n        return\n    fi\n    if ((CURRENT == 3)); then\n"
                         "        case $words[2] in\n");
    for (guint i = 0; i + 1 < words->len; i++) {
        if (command_is_group(g_ptr_array_index(words, i))) {
            g_string_append_printf(out, "            %s) names=(", (const char *)g_ptr_array_index(words, i));
            append_members(out, g_ptr_array_index(words, i));
            g_string_append(out, ") ;;\n");
        }
    }
    g_string_append(out, "        esac\n        (($#names)) && { _describe command names; return }\n    fi\n"
                         "    case $key in\n");
    for (size_t i = 0; commands[i] != NULL; i++) {
        if (commands[i]->flags != NULL) {
            g_string_append_printf(out, "        '%s') _arguments", commands[i]->name);
            append_zsh_flags(out, commands[i]->flags);
            append_zsh_flags(out, global_flags);
            g_string_append(out, " '*:file:_files' ;;\n");
        }
    }
    g_string_append(out, "        *) _arguments");
    append_zsh_flags(out, global_flags);
    g_string_append(out, " '*:file:_files' ;;\n    esac\n}\ncompdef _enclii enclii\n");
    return g_string_free(out, FALSE);
}

/* --- fish ---------------------------------------------------------------------------------------- */

static void append_fish_flags(GString *out, const char *condition, const struct flag *flags)
{
    for (const struct flag *flag = flags; flag != NULL && flag->name != NULL; flag++) {
        g_autofree char *doc = quote(flag->doc);
        g_string_append_printf(out, "complete -c enclii%s -l %s", condition, flag->name);
        if (flag->letter != '\0') {
            g_string_append_printf(out, " -s %c", flag->letter);
        }
        if (flag->words != NULL) {
            g_autofree char *words = g_strjoinv(" ", (char **)flag->words);
            g_string_append_printf(out, " -x -a '%s'", words);
        } else if (flag->value != NULL) {
            g_string_append(out, " -r");
        }
        g_string_append_printf(out, " -d '%s'\n", doc);
    }
}

static void append_fish_command(GString *out, const struct command *command)
{
    g_autofree char *summary = quote(command->summary);
    g_auto(GStrv) words = g_strsplit(command->name, " ", 2);
    g_autofree char *condition =
        words[1] != NULL ? g_strdup_printf(" -n '__fish_seen_subcommand_from %s; and __fish_seen_subcommand_from %s'",
                                           words[0], words[1])
                         : g_strdup_printf(" -n '__fish_seen_subcommand_from %s'", words[0]);
    if (words[1] != NULL) {
        g_string_append_printf(out, "complete -c enclii -f -n '__fish_seen_subcommand_from %s' -a %s -d '%s'\n",
                               words[0], words[1], summary);
    } else {
        g_string_append_printf(out, "complete -c enclii -f -n __fish_use_subcommand -a %s -d '%s'\n", words[0],
                               summary);
    }
    append_fish_flags(out, condition, command->flags);
}

static char *fish(void)
{
    GString *out = g_string_new("# fish completion for enclii; put it in ~/.config/fish/completions/enclii.fish\n");
    g_autoptr(GPtrArray) words = first_words();
    for (guint i = 0; i + 1 < words->len; i++) {
        if (command_is_group(g_ptr_array_index(words, i))) {
            g_string_append_printf(out, "complete -c enclii -f -n __fish_use_subcommand -a %s\n",
                                   (const char *)g_ptr_array_index(words, i));
        }
    }
    for (size_t i = 0; commands[i] != NULL; i++) {
        append_fish_command(out, commands[i]);
    }
    append_fish_flags(out, "", global_flags);
    return g_string_free(out, FALSE);
}

char *completion_script(const char *shell)
{
    if (strcmp(shell, "bash") == 0) { /* may-name-a-shell: a script is printed for it, none is started */
        return bash();
    }
    if (strcmp(shell, "zsh") == 0) {
        return zsh();
    }
    return strcmp(shell, "fish") == 0 ? fish() : NULL;
}
