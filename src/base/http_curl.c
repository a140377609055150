/* HTTPS by libcurl, loaded at the first use: a program that never needs it does not pay for it. */
#include <curl/curl.h>
#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/http_client_internal.h"

#define DEFAULT_LIMIT (16 << 20)
#define LOOK_MS 100

struct curl_library {
    CURL *(*easy_init)(void);
    CURLcode (*easy_setopt)(CURL *curl, CURLoption option, ...);
    CURLcode (*easy_getinfo)(CURL *curl, CURLINFO info, ...);
    void (*easy_cleanup)(CURL *curl);
    const char *(*easy_strerror)(CURLcode code);
    CURLM *(*multi_init)(void);
    CURLMcode (*multi_add_handle)(CURLM *multi, CURL *easy);
    CURLMcode (*multi_remove_handle)(CURLM *multi, CURL *easy);
    CURLMcode (*multi_perform)(CURLM *multi, int *ret_running);
    CURLMcode (*multi_poll)(CURLM *multi, struct curl_waitfd *more, unsigned n_more, int timeout_ms, int *ret_ready);
    CURLMsg *(*multi_info_read)(CURLM *multi, int *ret_left);
    CURLMcode (*multi_cleanup)(CURLM *multi);
    struct curl_slist *(*slist_append)(struct curl_slist *list, const char *text);
    void (*slist_free_all)(struct curl_slist *list);
    bool is_loaded;
};

static const struct curl_library *library(GError **error)
{
    static GMutex lock;
    static struct curl_library curl;
    g_mutex_lock(&lock);
    if (!curl.is_loaded) {
        void *handle = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
        static const struct {
            const char *name;
            size_t offset;
        } symbols[] = {
            {"curl_easy_init", offsetof(struct curl_library, easy_init)},
            {"curl_easy_setopt", offsetof(struct curl_library, easy_setopt)},
            {"curl_easy_getinfo", offsetof(struct curl_library, easy_getinfo)},
            {"curl_easy_cleanup", offsetof(struct curl_library, easy_cleanup)},
            {"curl_easy_strerror", offsetof(struct curl_library, easy_strerror)},
            {"curl_multi_init", offsetof(struct curl_library, multi_init)},
            {"curl_multi_add_handle", offsetof(struct curl_library, multi_add_handle)},
            {"curl_multi_remove_handle", offsetof(struct curl_library, multi_remove_handle)},
            {"curl_multi_perform", offsetof(struct curl_library, multi_perform)},
            {"curl_multi_poll", offsetof(struct curl_library, multi_poll)},
            {"curl_multi_info_read", offsetof(struct curl_library, multi_info_read)},
            {"curl_multi_cleanup", offsetof(struct curl_library, multi_cleanup)},
            {"curl_slist_append", offsetof(struct curl_library, slist_append)},
            {"curl_slist_free_all", offsetof(struct curl_library, slist_free_all)},
        };
        curl.is_loaded = handle != NULL;
        for (size_t i = 0; curl.is_loaded && i < G_N_ELEMENTS(symbols); i++) {
            void *symbol = dlsym(handle, symbols[i].name);
            memcpy((char *)&curl + symbols[i].offset, &symbol, sizeof symbol);
            curl.is_loaded = symbol != NULL;
        }
    }
    g_mutex_unlock(&lock);
    if (!curl.is_loaded) {
        sy_fail(error, SY_UNAVAILABLE, "https needs libcurl, which is not installed");
        sy_error_set_hint(error, "Install it (Debian: apt-get install libcurl4).");
        return NULL;
    }
    return &curl;
}

struct transfer {
    const struct curl_library *curl;
    CURL *easy;
    const struct http_exchange *exchange;
    struct http_reply *reply;
    size_t limit, sent;
    bool is_too_large;
    bool is_cut_off; /* the file to send was shorter than said */
};

static size_t on_header(char *bytes, size_t size, size_t count, void *arg)
{
    struct transfer *transfer = arg;
    size_t length = size * count;
    g_autofree char *line = g_strndup(bytes, length);
    g_strchomp(line);
    char *colon = strchr(line, ':');
    if (g_str_has_prefix(line, "HTTP/")) {
        g_string_truncate(transfer->reply->headers, 0); /* of an earlier 1xx */
    } else if (colon != NULL) {
        *colon = '\0';
        g_autofree char *name = g_ascii_strdown(line, -1);
        g_string_append_printf(transfer->reply->headers, "%s: %s\n", name, g_strchug(colon + 1));
    }
    return length;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
    struct transfer *transfer = arg;
    size_t length = size * count;
    long status = 0;
    transfer->curl->easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    if (transfer->exchange->on_body != NULL && status >= 200 && status < 300) {
        transfer->reply->ended_early = !transfer->exchange->on_body(bytes, length, transfer->exchange->on_body_arg);
        return transfer->reply->ended_early ? 0 : length;
    }
    if (transfer->reply->body->len + length > transfer->limit) {
        transfer->is_too_large = true;
        return 0;
    }
    g_string_append_len(transfer->reply->body, bytes, (gssize)length);
    return length;
}

static size_t on_read(char *bytes, size_t size, size_t count, void *arg)
{
    struct transfer *transfer = arg;
    const struct http_exchange *exchange = transfer->exchange;
    size_t length = MIN(size * count, exchange->body_length - transfer->sent);
    if (exchange->body != NULL) {
        memcpy(bytes, (const char *)exchange->body + transfer->sent, length);
    } else if (length > 0) {
        ssize_t got;
        do {
            got = read(exchange->body_fd, bytes, length);
        } while (got < 0 && errno == EINTR);
        if (got <= 0) {
            transfer->is_cut_off = true;
            return CURL_READFUNC_ABORT;
        }
        length = (size_t)got;
    }
    transfer->sent += length;
    return length;
}

static bool is_cancelled(const struct transfer *transfer)
{
    return transfer->exchange->cancelled != NULL && g_atomic_int_get(transfer->exchange->cancelled) != 0;
}

/* curl_easy_perform would look once a second whether it is cancelled. */
static CURLcode perform(const struct transfer *transfer)
{
    const struct curl_library *curl = transfer->curl;
    CURLM *multi = curl->multi_init();
    int n_running = 1, n_left;
    bool is_well = multi != NULL && curl->multi_add_handle(multi, transfer->easy) == CURLM_OK;
    while (is_well && curl->multi_perform(multi, &n_running) == CURLM_OK && n_running > 0 && !is_cancelled(transfer)) {
        is_well = curl->multi_poll(multi, NULL, 0, LOOK_MS, NULL) == CURLM_OK;
    }
    const CURLMsg *message = n_running == 0 ? curl->multi_info_read(multi, &n_left) : NULL;
    CURLcode code = message != NULL          ? message->data.result
                    : is_cancelled(transfer) ? CURLE_ABORTED_BY_CALLBACK
                                             : CURLE_FAILED_INIT;
    curl->multi_remove_handle(multi, transfer->easy);
    curl->multi_cleanup(multi);
    return code;
}

static bool explain(const struct transfer *transfer, const char *endpoint, CURLcode code, GError **error)
{
    if (transfer->reply->ended_early) {
        return true;
    }
    if (transfer->is_too_large) {
        return sy_fail(error, SY_TOO_LARGE, "the reply of %s is larger than %zu bytes", endpoint, transfer->limit);
    }
    if (transfer->is_cut_off) {
        return sy_fail(error, SY_IO_FAILED, "the body of the request ended early");
    }
    if (code == CURLE_ABORTED_BY_CALLBACK) {
        return sy_fail(error, SY_CANCELLED, "cancelled");
    }
    return sy_fail(error, code == CURLE_OPERATION_TIMEDOUT ? SY_TIMEOUT : SY_UNAVAILABLE, "%s: %s", endpoint,
                   transfer->curl->easy_strerror(code));
}

static struct curl_slist *make_headers(const struct transfer *transfer)
{
    struct curl_slist *list = transfer->curl->slist_append(NULL, "Expect:");
    for (const struct http_header *h = transfer->exchange->headers; h != NULL && h->name != NULL; h++) {
        g_autofree char *line = g_strdup_printf("%s: %s", h->name, h->value);
        list = transfer->curl->slist_append(list, line);
    }
    return list;
}

static void set_authorities(const struct transfer *transfer, const struct http_authorities *authorities)
{
    if (authorities->file != NULL) {
        transfer->curl->easy_setopt(transfer->easy, CURLOPT_CAINFO, authorities->file);
    }
    if (authorities->folder != NULL) {
        transfer->curl->easy_setopt(transfer->easy, CURLOPT_CAPATH, authorities->folder);
    }
}

static void set_options(struct transfer *transfer, const char *url, struct curl_slist *headers)
{
    const struct curl_library *curl = transfer->curl;
    const struct http_exchange *exchange = transfer->exchange;
    CURL *easy = transfer->easy;
    curl->easy_setopt(easy, CURLOPT_URL, url);
    curl->easy_setopt(easy, CURLOPT_CUSTOMREQUEST, exchange->method);
    curl->easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl->easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https");
    curl->easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, 10000L);
    if (exchange->on_body != NULL) {
        curl->easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl->easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)(exchange->timeout_ms + 999) / 1000);
    } else {
        curl->easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)exchange->timeout_ms);
    }
    curl->easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl->easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    curl->easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl->easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    if (strcmp(exchange->method, "HEAD") == 0) {
        curl->easy_setopt(easy, CURLOPT_NOBODY, 1L);
    }
    if (exchange->body_length > 0) {
        curl->easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        curl->easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
        curl->easy_setopt(easy, CURLOPT_READDATA, transfer);
        curl->easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)exchange->body_length);
    }
}

bool http_curl_call(const char *endpoint, const struct http_authorities *authorities,
                    const struct http_exchange *exchange, struct http_reply *ret_reply, GError **error)
{
    struct transfer transfer = {.curl = library(error), .exchange = exchange, .reply = ret_reply};
    if (transfer.curl == NULL) {
        return false;
    }
    transfer.limit = exchange->limit_bytes > 0 ? exchange->limit_bytes : DEFAULT_LIMIT;
    transfer.easy = transfer.curl->easy_init();
    g_autofree char *url = g_strconcat(endpoint, exchange->target, NULL);
    struct curl_slist *headers = make_headers(&transfer);
    set_options(&transfer, url, headers);
    set_authorities(&transfer, authorities);
    CURLcode code = perform(&transfer);
    bool ok = code == CURLE_OK || explain(&transfer, endpoint, code, error);
    long status = 0;
    transfer.curl->easy_getinfo(transfer.easy, CURLINFO_RESPONSE_CODE, &status);
    ret_reply->status = (int)status;
    transfer.curl->slist_free_all(headers);
    transfer.curl->easy_cleanup(transfer.easy);
    return ok;
}
