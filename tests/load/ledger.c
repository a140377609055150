#include "load.h"

struct entry *ledger_open(struct load *load, const char *kind, int64_t due_us)
{
    struct entry *entry = g_new0(struct entry, 1);
    *entry = (struct entry){.id = load->n_entries++, .kind = kind, .due_us = due_us, .tries = 1};
    load->n_open++;
    g_hash_table_add(load->open, entry);
    return entry;
}

/* Of bytes from outside only the printable ones of ASCII are kept; the others become question marks. */
static void put_text(FILE *file, const char *text)
{
    fputc('"', file);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            fputc('\\', file);
        }
        fputc(g_ascii_isprint(*text) ? *text : *text == '\n' ? ' ' : '?', file);
    }
    fputc('"', file);
}

void ledger_close(struct load *load, struct entry *entry, const char *failure)
{
    fprintf(load->ledger,
            "{\"id\":%" G_GINT64_FORMAT ",\"kind\":\"%s\",\"due_us\":%" G_GINT64_FORMAT ",\"sent_us\":%" G_GINT64_FORMAT
            ",\"done_us\":%" G_GINT64_FORMAT ",\"status\":%d,\"bytes\":%" G_GINT64_FORMAT ",\"tries\":%d,\"failure\":",
            entry->id, entry->kind, entry->due_us, entry->sent_us, now_us(), entry->status, entry->bytes, entry->tries);
    if (failure != NULL) {
        put_text(load->ledger, failure);
    } else {
        fputs("null", load->ledger);
    }
    fputs("}\n", load->ledger);
    load->n_open--;
    g_hash_table_remove(load->open, entry);
    load->n_failed += failure != NULL;
    g_free(entry);
}

void ledger_end(struct load *load)
{
    g_autoptr(GList) open = g_hash_table_get_keys(load->open);
    for (GList *link = open; link != NULL; link = link->next) {
        ledger_close(load, link->data, "not answered when the load had ended");
    }
}
