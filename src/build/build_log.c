#include "build/build_log.h"

#include <string.h>

#include "base/quantity.h"

#define MAX_STEPS 1000
#define TAIL_LINES 12
#define TAIL_LINE_LENGTH 400
#define DIGEST_LENGTH 64

struct step {
    char *name;
    bool is_internal;
    GQueue tail; /* of char * */
    char *error; /* NULL: it has not failed */
};

struct build_log {
    process_line_fn on_line;
    void *on_line_arg;
    GHashTable *steps;           /* number → struct step * */
    const struct step *speaking; /* whose name was told last */
    const struct step *failed;   /* the first one that did */
    bool is_in_block;            /* BuildKit's repetition of what was said already */
    GQueue rest;                 /* the last lines outside steps */
};

static void step_free(void *data)
{
    struct step *step = data;
    g_queue_clear_full(&step->tail, g_free);
    g_free(step->name);
    g_free(step->error);
    g_free(step);
}

struct build_log *build_log_new(process_line_fn on_line, void *arg)
{
    struct build_log *log = g_new0(struct build_log, 1);
    log->on_line = on_line;
    log->on_line_arg = arg;
    log->steps = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, step_free);
    return log;
}

void build_log_free(struct build_log *log)
{
    if (log != NULL) {
        g_hash_table_unref(log->steps);
        g_queue_clear_full(&log->rest, g_free);
        g_free(log);
    }
}

/* --- text ----------------------------------------------------------------------------------------------------------------- */

/* Without escape sequences (ECMA-48 section 5.4: ESC [ parameters final) and control characters but the tab. */
static char *clean_text(const char *text, size_t length)
{
    GString *out = g_string_sized_new(length);
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte == 0x1b && i + 1 < length && text[i + 1] == '[') {
            for (i += 2; i < length && (text[i] < '@' || text[i] > '~'); i++) {
            }
        } else if (byte == '\t' || (byte >= ' ' && byte != 0x7f)) {
            g_string_append_c(out, (char)byte);
        }
    }
    return g_strchomp(g_string_free(out, FALSE));
}

static void remember(GQueue *tail, const char *line)
{
    if (*line == '\0') {
        return;
    }
    g_queue_push_tail(tail, g_strndup(line, TAIL_LINE_LENGTH));
    if (g_queue_get_length(tail) > TAIL_LINES) {
        g_free(g_queue_pop_head(tail));
    }
}

static bool is_digest(const char *text)
{
    return g_str_has_prefix(text, "sha256:") && strspn(text + 7, "0123456789abcdef") == DIGEST_LENGTH;
}

/* "12.345 text" → text; NULL when no time stands at the beginning. */
static const char *skip_time(const char *text)
{
    size_t whole = strspn(text, "0123456789");
    if (whole == 0 || text[whole] != '.') {
        return NULL;
    }
    size_t digits = strspn(text + whole + 1, "0123456789");
    const char *end = text + whole + 1 + digits;
    return digits == 0 ? NULL : *end == ' ' ? end + 1 : *end == '\0' ? end : NULL;
}

/* --- what is told ---------------------------------------------------------------------------------------------------------- */

static void tell(const struct build_log *log, const char *line)
{
    if (log->on_line != NULL && *line != '\0') {
        log->on_line(line, strlen(line), log->on_line_arg);
    }
}

static void tell_of(struct build_log *log, const struct step *step, const char *line)
{
    if (log->speaking != step) {
        log->speaking = step;
        tell(log, step->name);
    }
    g_autofree char *indented = g_strconcat("  ", line, NULL);
    tell(log, indented);
}

/* "[2/3] RUN make" → "RUN make"; "[build 2/3] RUN make" too. */
static const char *instruction(const char *name)
{
    const char *end = *name == '[' ? strstr(name, "] ") : NULL;
    return end != NULL ? end + 2 : name;
}

static struct step *find_step(struct build_log *log, int64_t number, const char *text)
{
    struct step *step = g_hash_table_lookup(log->steps, GINT_TO_POINTER((int)number));
    if (step == NULL && g_hash_table_size(log->steps) < MAX_STEPS) {
        step = g_new0(struct step, 1);
        step->name = g_strdup(text);
        step->is_internal = g_str_has_prefix(text, "[internal]") || g_str_has_prefix(text, "exporting ") ||
                            g_str_has_prefix(text, "[auth]") || g_str_has_prefix(text, "resolve image config");
        g_hash_table_insert(log->steps, GINT_TO_POINTER((int)number), step);
    }
    return step;
}

static void take_failure(struct build_log *log, struct step *step, const char *message)
{
    g_free(step->error);
    step->error = g_strdup(message);
    if (log->failed == NULL && strstr(message, "context canceled") == NULL) {
        log->failed = step;
    }
    tell_of(log, step, message);
}

/* One line of one step, behind its number. */
static void take_step_line(struct build_log *log, struct step *step, const char *text)
{
    const char *said = skip_time(text);
    if (said != NULL) {
        remember(&step->tail, said);
        tell_of(log, step, said);
    } else if (g_str_has_prefix(text, "ERROR: ")) {
        take_failure(log, step, text + strlen("ERROR: "));
    } else if (step->is_internal || g_str_has_prefix(text, "sha256:") || g_str_has_prefix(text, "extracting ") ||
               g_str_has_prefix(text, "resolve ") || strcmp(text, "...") == 0 || strcmp(text, "DONE 0.0s") == 0) {
        return;
    } else if (strcmp(text, step->name) == 0) {
        if (log->speaking != step) {
            log->speaking = step;
            tell(log, step->name);
        }
    } else if (strcmp(text, "CACHED") == 0) {
        tell_of(log, step, "unchanged");
    } else if (g_str_has_prefix(text, "DONE ")) {
        g_autofree char *line = g_strconcat("done in ", text + strlen("DONE "), NULL);
        tell_of(log, step, line);
    } else if (strcmp(text, "CANCELED") != 0) {
        tell_of(log, step, text);
    }
}

static bool is_rule(const char *text)
{
    size_t dashes = strspn(text, "-");
    return dashes >= 6 && text[dashes] == '\0';
}

static void take_other(struct build_log *log, const char *text)
{
    if (*text != '\0') {
        log->speaking = NULL;
        remember(&log->rest, text);
        tell(log, text);
    }
}

void build_log_take(const char *line, size_t length, void *data)
{
    struct build_log *log = data;
    g_autofree char *text = clean_text(line, length);
    const char *blank = text[0] == '#' ? strchr(text, ' ') : NULL;
    g_autofree char *number_text = blank != NULL ? g_strndup(text + 1, (gsize)(blank - text - 1)) : NULL;
    int64_t number;
    /* The closing blocks repeat the step's last lines, or show the Dockerfile around it; what follows is the verdict. */
    if (is_rule(text)) {
        log->is_in_block = !log->is_in_block;
    }
    if (is_rule(text) || log->is_in_block) {
        return;
    }
    if (number_text == NULL || !int_parse(number_text, 1, 1000000, &number)) {
        take_other(log, text);
        return;
    }
    struct step *step = find_step(log, number, blank + 1);
    if (step != NULL && !is_digest(blank + 1)) {
        take_step_line(log, step, blank + 1);
    }
}

/* --- the verdict -------------------------------------------------------------------------------------------------------------- */

bool tells_out_of_memory(const char *line)
{
    static const char *const anywhere[] = {"annot allocate memory",
                                           "out of memory",
                                           "Out of memory",
                                           "OutOfMemoryError",
                                           "heap out of memory",
                                           "std::bad_alloc",
                                           "virtual memory exhausted",
                                           "signal: killed",
                                           "Killed signal terminated program",
                                           "exit code: 137"};
    for (size_t i = 0; i < G_N_ELEMENTS(anywhere); i++) {
        if (strstr(line, anywhere[i]) != NULL) {
            return true;
        }
    }
    /* A shell's "line 1:     7 Killed                  ./program" */
    return strcmp(line, "Killed") == 0 || strstr(line, " Killed  ") != NULL || g_str_has_suffix(line, " Killed") ||
           strcmp(line, "MemoryError") == 0;
}

static bool tells_disk_full(const char *line)
{
    return strstr(line, "o space left on device") != NULL;
}

static bool tells_engine_gone(const char *line)
{
    return strstr(line, "annot connect to the Docker daemon") != NULL || strstr(line, "transport is closing") != NULL ||
           strstr(line, "error reading from server: EOF") != NULL;
}

static bool any(const GQueue *tail, bool (*claim)(const char *line))
{
    for (const GList *at = tail->head; at != NULL; at = at->next) {
        if (claim(at->data)) {
            return true;
        }
    }
    return false;
}

static int exit_code_of(const char *text)
{
    const char *at = strstr(text, "exit code: ");
    int64_t code;
    if (at == NULL) {
        return -1;
    }
    g_autofree char *digits = g_strndup(at + 11, strspn(at + 11, "0123456789"));
    return int_parse(digits, 0, 255, &code) ? (int)code : -1;
}

/* The last words, without the chain of who passed them on. */
static char *short_reason(const char *text, int exit_code)
{
    if (exit_code >= 0) {
        return g_strdup_printf("exit code %d", exit_code);
    }
    static const char *const prefixes[] = {
        "ERROR: ", "failed to solve with frontend dockerfile.v0: ", "failed to solve: ",
        "rpc error: code = Unknown desc = ", "failed to create LLB definition: "};
    for (size_t i = 0; i < G_N_ELEMENTS(prefixes); i++) {
        text += g_str_has_prefix(text, prefixes[i]) ? strlen(prefixes[i]) : 0;
    }
    return g_strdup(text);
}

void build_log_verdict(const struct build_log *log, struct build_verdict *ret_verdict)
{
    const struct step *step = log->failed;
    const char *last = g_queue_peek_tail((GQueue *)&log->rest);
    const char *words = step != NULL ? step->error : last != NULL ? last : "it gave no reason";
    GString *lines = g_string_new(NULL);
    *ret_verdict = (struct build_verdict){.exit_code = exit_code_of(words)};
    for (const GList *at = step != NULL ? step->tail.head : NULL; at != NULL; at = at->next) {
        g_string_append_printf(lines, "\n  %s", (const char *)at->data);
    }
    ret_verdict->step = step != NULL ? g_strdup(instruction(step->name)) : NULL;
    ret_verdict->reason = short_reason(words, ret_verdict->exit_code);
    ret_verdict->lines = g_string_free(lines, FALSE);
    const GQueue *tails[] = {step != NULL ? &step->tail : &log->rest, &log->rest};
    for (size_t i = 0; i < G_N_ELEMENTS(tails); i++) {
        ret_verdict->tells_out_of_memory |= any(tails[i], tells_out_of_memory);
        ret_verdict->tells_disk_full |= any(tails[i], tells_disk_full);
    }
    ret_verdict->tells_engine_gone = step == NULL && any(&log->rest, tells_engine_gone);
    ret_verdict->tells_disk_full |= tells_disk_full(words);
    ret_verdict->tells_out_of_memory |= ret_verdict->exit_code == 137;
}

void build_verdict_clear(struct build_verdict *verdict)
{
    g_clear_pointer(&verdict->step, g_free);
    g_clear_pointer(&verdict->reason, g_free);
    g_clear_pointer(&verdict->lines, g_free);
}
