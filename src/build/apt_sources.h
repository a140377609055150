/* The host's own package mirrors, for base images: what reaches a Debian mirror from here.
 *
 * Only entries of Debian 12 itself (suites bookworm, -updates, -security; component main; its own keyring or none named) that
 * are fetched over a network: third parties' repositories have no place in a base image. */
#pragma once

#include <glib.h>
#include <stdbool.h>

struct apt_sources {
    GString *stanzas; /* deb822 (sources.list(5)); never NULL */
    GString *lines;   /* one-line style; never NULL */
};

/* Reads sources.list and sources.list.d below `folder` (/etc/apt). False when there is no mirror of bookworm itself. */
bool apt_sources_read(const char *folder, struct apt_sources *ret_sources);
void apt_sources_clear(struct apt_sources *sources);
typedef struct apt_sources apt_sources_t;
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(apt_sources_t, apt_sources_clear)

/* Adds the entries of one file that qualify. */
void apt_sources_add_stanzas(struct apt_sources *sources, const char *text);
void apt_sources_add_lines(struct apt_sources *sources, const char *text);
