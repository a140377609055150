/* A certificate for 127.0.0.1 that nobody but the test trusts. */
#pragma once

/* Writes a self-signed one, valid for a day, and its key (ECDSA, P-256), both PEM. */
void certificate_make(const char *certificate, const char *key);
