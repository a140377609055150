#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"
#include "wire.h"

static void end(struct wire *wire, int error)
{
    if (!wire->is_dead) {
        int known = wire->error != 0 ? wire->error : error;
        wire->ops->on_end(wire, known == 0 ? "closed" : g_strerror(known));
    }
}

struct wire *wire_open(struct load *load, const struct wire_ops *ops, void *owner)
{
    struct wire *wire = g_new0(struct wire, 1);
    *wire = (struct wire){.load = load, .ops = ops, .owner = owner, .out = g_string_new(NULL)};
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = wire};
    wire->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    setsockopt(wire->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    /* A connection that is refused is told by epoll, like one that breaks later. */
    if (connect(wire->fd, (struct sockaddr *)&load->address, sizeof load->address) != 0 && errno != EINPROGRESS) {
        wire->error = errno;
    }
    if (wire->fd < 0 || epoll_ctl(load->epoll, EPOLL_CTL_ADD, wire->fd, &event) != 0) {
        g_ptr_array_add(load->unopened, wire); /* told later: never from within the call that opens it */
    }
    return wire;
}

static void flush(struct wire *wire)
{
    while (!wire->is_dead && wire->written < wire->out->len) {
        ssize_t n = send(wire->fd, wire->out->str + wire->written, wire->out->len - wire->written, MSG_NOSIGNAL);
        if (n < 0) {
            /* Not yet; or an error, which is told when all that came before it has been read. */
            bool is_early = errno == EAGAIN || errno == EINTR || wire->error != 0;
            wire->error = is_early ? wire->error : errno;
            return;
        }
        wire->written += (size_t)n;
    }
    g_string_truncate(wire->out, 0);
    wire->written = 0;
}

void wire_send(struct wire *wire, const void *bytes, size_t n)
{
    g_string_append_len(wire->out, bytes, (gssize)n);
    flush(wire);
}

static void receive(struct wire *wire)
{
    static char buffer[65536];
    while (!wire->is_dead) {
        ssize_t n = recv(wire->fd, buffer, sizeof buffer, 0);
        if (n > 0) {
            wire->ops->on_bytes(wire, buffer, (size_t)n);
        } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            end(wire, n == 0 ? 0 : errno);
            return;
        } else if (errno == EAGAIN) {
            return;
        }
    }
}

void wire_event(struct wire *wire, uint32_t events)
{
    if ((events & EPOLLOUT) != 0) {
        flush(wire);
    }
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        receive(wire);
    }
}

void wire_close(struct wire *wire)
{
    if (wire != NULL && !wire->is_dead) {
        wire->is_dead = true;
        if (wire->fd >= 0) {
            close(wire->fd);
        }
        g_ptr_array_add(wire->load->dead, wire);
    }
}

void wire_tell_unopened(struct load *load)
{
    g_autoptr(GPtrArray) wires = g_steal_pointer(&load->unopened);
    load->unopened = g_ptr_array_new();
    for (guint i = 0; i < wires->len; i++) {
        end(g_ptr_array_index(wires, i), EMFILE); /* the one reason there is on the loopback */
    }
}

void wire_free(gpointer data)
{
    struct wire *wire = data;
    g_string_free(wire->out, TRUE);
    g_free(wire);
}
