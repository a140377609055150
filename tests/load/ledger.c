#include "load.h"

struct entry *ledger_open(struct load *load, const char *kind, int64_t due_us)
{
    struct entry *entry = g_new0(struct entry, 1);
    *entry = (struct entry){.id = load->n_entries++, .kind = kind, .due_us = due_us, .tries = 1};
    load->n_open++;
    g_hash_table_add(load->open, entry);
    return entry;
}

void ledger_close(struct load *load, struct entry *entry, const char *failure)
{
    g_autofree char *words = failure != NULL ? g_strescape(failure, NULL) : NULL;
    fprintf(load->ledger,
            "{\"id\":%" G_GINT64_FORMAT ",\"kind\":\"%s\",\"due_us\":%" G_GINT64_FORMAT ",\"sent_us\":%" G_GINT64_FORMAT
            ",\"done_us\":%" G_GINT64_FORMAT ",\"status\":%d,\"bytes\":%" G_GINT64_FORMAT ",\"tries\":%d,\"failure\":",
            entry->id, entry->kind, entry->due_us, entry->sent_us, now_us(), entry->status, entry->bytes, entry->tries);
    if (words != NULL) {
        fprintf(load->ledger, "\"%s\"}\n", words);
    } else {
        fputs("null}\n", load->ledger);
    }
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
