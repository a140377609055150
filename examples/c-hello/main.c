/* A small service on libmicrohttpd. SIGTERM: no new connections, running requests are finished, then the end. */
#include <microhttpd.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define GREETING "Hello from c-hello, version 1\n"

static atomic_int running; /* requests begun and not yet answered in full */
static atomic_bool stopping;

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *text)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_PERSISTENT);
    MHD_add_response_header(response, "Content-Type", "text/plain; charset=utf-8");
    if (atomic_load(&stopping)) {
        MHD_add_response_header(response, "Connection", "close");
    }
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result handle(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *body, size_t *body_length, void **state)
{
    (void)arg, (void)version, (void)body;
    if (*state == NULL) {
        *state = &running;
        atomic_fetch_add(&running, 1);
        return MHD_YES;
    }
    if (*body_length > 0) {
        *body_length = 0;
        return MHD_YES;
    }
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        return answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET only\n");
    }
    if (strcmp(url, "/healthz") == 0) {
        return answer(connection, MHD_HTTP_OK, "ok\n");
    }
    return strcmp(url, "/") == 0 ? answer(connection, MHD_HTTP_OK, GREETING)
                                 : answer(connection, MHD_HTTP_NOT_FOUND, "not found\n");
}

static void complete(void *arg, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode code)
{
    (void)arg, (void)connection, (void)code;
    if (*state != NULL) {
        atomic_fetch_sub(&running, 1);
    }
}

int main(void)
{
    const char *text = getenv("PORT");
    long port = text != NULL ? strtol(text, NULL, 10) : 8080;
    sigset_t ends;
    int number;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, NULL); /* before the threads of the server, which inherit it */

    struct MHD_Daemon *daemon =
        MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, (uint16_t)port, NULL, NULL, handle, NULL,
                         MHD_OPTION_THREAD_POOL_SIZE, 2u, MHD_OPTION_NOTIFY_COMPLETED, complete, NULL,
                         MHD_OPTION_CONNECTION_TIMEOUT, 75u, MHD_OPTION_END);
    if (daemon == NULL) {
        fprintf(stderr, "cannot listen on port %ld\n", port);
        return 1;
    }
    printf("listening on port %ld\n", port);
    fflush(stdout);

    sigwait(&ends, &number);
    atomic_store(&stopping, true);
    MHD_quiesce_daemon(daemon);
    for (int i = 0; i < 2000 && atomic_load(&running) > 0; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
    }
    MHD_stop_daemon(daemon);
    printf("stopped\n");
    return 0;
}
