/* An Aho-Corasick automaton over all forms of all values.
 *
 * A form is a value as it is, or its base64 (every alignment to the groups of three bytes). Percent-encoding and string
 * escapes need no forms: text in which they occur is decoded and the automaton runs over that as well, so that any mix of
 * escaped and plain characters is recognised. Matches that overlap are replaced as one, because what a longer neighbour
 * leaves over of a value would still tell part of it. */
#include "logs/redactor.h"

#include <stdatomic.h>
#include <string.h>

#include "logs/redactor_forms.h"

#define REPLACEMENT "[redacted]"

/* States by index, 0 the root. Edges are a list per state; the root has a table. */
struct state {
    uint32_t child, sibling; /* 0: none */
    uint32_t fail;
    uint32_t match; /* length of the longest form that ends here; 0: none */
    uint8_t byte;
};

struct redactor {
    atomic_int references;
    struct state *states;
    size_t n_states, n_allocated;
    uint32_t root[256];
    bool has_space; /* in a value: '+' may stand for it */
};

/* --- building ---------------------------------------------------------------------------------- */

static uint32_t find_child(const struct redactor *redactor, uint32_t state, uint8_t byte)
{
    if (state == 0) {
        return redactor->root[byte];
    }
    uint32_t child = redactor->states[state].child;
    while (child != 0 && redactor->states[child].byte != byte) {
        child = redactor->states[child].sibling;
    }
    return child;
}

static uint32_t add_child(struct redactor *redactor, uint32_t parent, uint8_t byte)
{
    uint32_t child = (uint32_t)redactor->n_states++;
    g_assert(redactor->n_states <= redactor->n_allocated);
    struct state *state = &redactor->states[child];
    state->byte = byte;
    if (parent == 0) {
        redactor->root[byte] = child;
    }
    state->sibling = redactor->states[parent].child;
    redactor->states[parent].child = child;
    return child;
}

static void add_form(const uint8_t *form, size_t length, void *arg)
{
    struct redactor *redactor = arg;
    uint32_t state = 0;
    for (size_t i = 0; i < length; i++) {
        uint32_t next = find_child(redactor, state, form[i]);
        state = next != 0 ? next : add_child(redactor, state, form[i]);
    }
    redactor->states[state].match = (uint32_t)length;
}

static void measure_form(const uint8_t *form, size_t length, void *arg)
{
    size_t *sum = arg;
    *sum += length;
}

/* The state after `byte`, by way of the failure links. */
static uint32_t advance(const struct redactor *redactor, uint32_t state, uint8_t byte)
{
    uint32_t next;
    while ((next = find_child(redactor, state, byte)) == 0 && state != 0) {
        state = redactor->states[state].fail;
    }
    return next;
}

/* Breadth first: the failure link of a state leads to a state that is nearer to the root. */
static void link_states(struct redactor *redactor)
{
    g_autofree uint32_t *queue = g_new(uint32_t, redactor->n_states);
    size_t head = 0;
    size_t tail = 0;
    queue[tail++] = 0;
    while (head < tail) {
        uint32_t parent = queue[head++];
        for (uint32_t child = redactor->states[parent].child; child != 0; child = redactor->states[child].sibling) {
            struct state *state = &redactor->states[child];
            state->fail = parent != 0 ? advance(redactor, redactor->states[parent].fail, state->byte) : 0;
            if (state->match == 0) {
                state->match = redactor->states[state->fail].match;
            }
            queue[tail++] = child;
        }
    }
}

struct redactor *redactor_new(const struct secret *const *secrets, size_t n_secrets)
{
    struct redactor *redactor = g_new0(struct redactor, 1);
    size_t sum = 0;
    atomic_init(&redactor->references, 1);
    for (size_t i = 0; i < n_secrets; i++) {
        if (secrets[i] != NULL) {
            secret_forms(secrets[i], measure_form, &sum);
            redactor->has_space =
                redactor->has_space || memchr(secret_reveal(secrets[i]), ' ', secret_length(secrets[i])) != NULL;
        }
    }
    g_assert(sum < G_MAXUINT32);
    redactor->n_allocated = sum + 1;
    redactor->states = g_new0(struct state, redactor->n_allocated); /* once: no copy of a value stays behind */
    redactor->n_states = 1;
    for (size_t i = 0; i < n_secrets; i++) {
        if (secrets[i] != NULL) {
            secret_forms(secrets[i], add_form, redactor);
        }
    }
    link_states(redactor);
    return redactor;
}

struct redactor *redactor_ref(struct redactor *redactor)
{
    if (redactor != NULL) {
        atomic_fetch_add(&redactor->references, 1);
    }
    return redactor;
}

void redactor_unref(struct redactor *redactor)
{
    if (redactor == NULL || atomic_fetch_sub(&redactor->references, 1) > 1) {
        return;
    }
    secret_wipe(redactor->states, redactor->n_allocated * sizeof *redactor->states);
    secret_wipe(redactor->root, sizeof redactor->root);
    g_free(redactor->states);
    g_free(redactor);
}

/* --- matching ---------------------------------------------------------------------------------- */

struct span {
    size_t begin, end;
};

/* Ends rise from call to call. */
static void add_span(GArray **spans, size_t begin, size_t end)
{
    if (*spans == NULL) {
        *spans = g_array_new(FALSE, FALSE, sizeof(struct span));
    }
    struct span span = {begin, end};
    while ((*spans)->len > 0) {
        const struct span *last = &g_array_index(*spans, struct span, (*spans)->len - 1);
        if (last->end <= span.begin) {
            break;
        }
        span.begin = MIN(span.begin, last->begin);
        span.end = MAX(span.end, last->end);
        g_array_set_size(*spans, (*spans)->len - 1);
    }
    g_array_append_val(*spans, span);
}

/* `places`: where each byte of a decoded text begins in the original, and one more for its end; NULL: itself. */
static void match(const struct redactor *redactor, const uint8_t *text, size_t length, const size_t *places,
                  GArray **spans)
{
    uint32_t state = 0;
    for (size_t i = 0; i < length; i++) {
        while (state == 0 && redactor->root[text[i]] == 0) {
            if (++i == length) {
                return;
            }
        }
        state = advance(redactor, state, text[i]);
        size_t matched = redactor->states[state].match;
        if (matched > 0) {
            size_t begin = i + 1 - matched;
            add_span(spans, places != NULL ? places[begin] : begin, places != NULL ? places[i + 1] : i + 1);
        }
    }
}

typedef size_t (*decode_fn)(const uint8_t *text, size_t length, uint8_t *out, size_t *places);

static void match_decoded(const struct redactor *redactor, const char *text, size_t length, decode_fn decode,
                          GArray **spans)
{
    g_autofree uint8_t *decoded = g_malloc(length + DECODE_SLACK);
    g_autofree size_t *places = g_new(size_t, length + DECODE_SLACK + 1);
    g_autoptr(GArray) found = NULL;
    size_t n = decode((const uint8_t *)text, length, decoded, places);
    match(redactor, decoded, n, places, &found);
    for (guint i = 0; found != NULL && i < found->len; i++) {
        const struct span *span = &g_array_index(found, struct span, i);
        if (*spans == NULL) {
            *spans = g_array_new(FALSE, FALSE, sizeof(struct span));
        }
        g_array_append_val(*spans, *span);
    }
    secret_wipe(decoded, length + DECODE_SLACK);
}

static int compare_spans(gconstpointer a, gconstpointer b)
{
    const struct span *left = a;
    const struct span *right = b;
    return left->begin < right->begin ? -1 : left->begin > right->begin;
}

/* `keep`: where to end; a value that begins before is replaced whole. */
static size_t replace(const GArray *spans, const char *text, size_t keep, GString *out)
{
    size_t done = 0;
    size_t n = 0;
    for (guint i = 0; i < spans->len && g_array_index(spans, struct span, i).begin < keep;) {
        struct span span = g_array_index(spans, struct span, i);
        for (i++; i < spans->len && g_array_index(spans, struct span, i).begin < span.end; i++) {
            span.end = MAX(span.end, g_array_index(spans, struct span, i).end);
        }
        g_string_append_len(out, text + done, (gssize)(span.begin - done));
        g_string_append(out, REPLACEMENT);
        done = span.end;
        n++;
    }
    if (done < keep) {
        g_string_append_len(out, text + done, (gssize)(keep - done));
    }
    return n;
}

size_t redactor_apply(const struct redactor *redactor, const char *text, size_t length, GString *out)
{
    return redactor_apply_within(redactor, text, length, length, out);
}

size_t redactor_apply_within(const struct redactor *redactor, const char *text, size_t length, size_t keep,
                             GString *out)
{
    keep = MIN(keep, length);
    g_autoptr(GArray) spans = NULL;
    if (redactor != NULL && redactor->n_states > 1 && length > 0) {
        match(redactor, (const uint8_t *)text, length, NULL, &spans);
        if (memchr(text, '%', length) != NULL) {
            match_decoded(redactor, text, length, decode_percent, &spans);
        }
        if (redactor->has_space && memchr(text, '+', length) != NULL) {
            match_decoded(redactor, text, length, decode_form, &spans);
        }
        if (memchr(text, '\\', length) != NULL) {
            match_decoded(redactor, text, length, decode_escapes, &spans);
        }
    }
    if (spans == NULL) {
        g_string_append_len(out, text, (gssize)keep);
        return 0;
    }
    g_array_sort(spans, compare_spans);
    return replace(spans, text, keep, out);
}
