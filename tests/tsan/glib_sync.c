/* Tells ThreadSanitizer about GLib's locks, in the TSan tree only.
 *
 * GLib's mutexes, conditions and queues are futexes inside a library that is not instrumented: TSan sees neither the
 * lock nor the order it makes and would report every correctly locked access as a race. Each function here stands in
 * front of GLib's own of the same name, calls it, and names the order it makes by the two calls that TSan's runtime has
 * for that (sanitizer/tsan_interface.h): what happened before a release is seen after the next acquire of that address. */
#include <dlfcn.h>
#include <glib.h>

void __tsan_acquire(void *address);
void __tsan_release(void *address);

/* The next definition after ours, which is GLib's. */
#define GLIB(name) ((__typeof__(&name))glib_function(#name, &found_##name))
#define FOUND(name) static void *found_##name

static void *glib_function(const char *name, void **found)
{
    void *function = __atomic_load_n(found, __ATOMIC_RELAXED);
    if (function == NULL) {
        function = dlsym(RTLD_NEXT, name);
        __atomic_store_n(found, function, __ATOMIC_RELAXED);
    }
    return function;
}

/* `before` and `after` are release or acquire of one address around the call. */
#define VOID_CALL(name, parameters, arguments, before, after)                                                          \
    FOUND(name);                                                                                                       \
    void(name) parameters                                                                                              \
    {                                                                                                                  \
        before;                                                                                                        \
        GLIB(name) arguments;                                                                                          \
        after;                                                                                                         \
    }
#define VALUE_CALL(type, name, parameters, arguments, before, after)                                                   \
    FOUND(name);                                                                                                       \
    type(name) parameters                                                                                              \
    {                                                                                                                  \
        before;                                                                                                        \
        type value = GLIB(name) arguments;                                                                             \
        after;                                                                                                         \
        return value;                                                                                                  \
    }
#define NOTHING ((void)0)

VOID_CALL(g_mutex_lock, (GMutex * m), (m), NOTHING, __tsan_acquire(m))
VOID_CALL(g_mutex_unlock, (GMutex * m), (m), __tsan_release(m), NOTHING)
VALUE_CALL(gboolean, g_mutex_trylock, (GMutex * m), (m), NOTHING, if (value) __tsan_acquire(m))
VOID_CALL(g_rec_mutex_lock, (GRecMutex * m), (m), NOTHING, __tsan_acquire(m))
VOID_CALL(g_rec_mutex_unlock, (GRecMutex * m), (m), __tsan_release(m), NOTHING)
VALUE_CALL(gboolean, g_rec_mutex_trylock, (GRecMutex * m), (m), NOTHING, if (value) __tsan_acquire(m))
VOID_CALL(g_rw_lock_writer_lock, (GRWLock * l), (l), NOTHING, __tsan_acquire(l))
VOID_CALL(g_rw_lock_writer_unlock, (GRWLock * l), (l), __tsan_release(l), NOTHING)
VOID_CALL(g_rw_lock_reader_lock, (GRWLock * l), (l), NOTHING, __tsan_acquire(l))
VOID_CALL(g_rw_lock_reader_unlock, (GRWLock * l), (l), __tsan_release(l), NOTHING)

/* A wait gives the mutex up and takes it again. */
VOID_CALL(g_cond_wait, (GCond * c, GMutex *m), (c, m), __tsan_release(m), __tsan_acquire(m))
VALUE_CALL(gboolean, g_cond_wait_until, (GCond * c, GMutex *m, gint64 end), (c, m, end), __tsan_release(m),
           __tsan_acquire(m))

VOID_CALL(g_async_queue_push, (GAsyncQueue * q, gpointer p), (q, p), __tsan_release(q), NOTHING)
VOID_CALL(g_async_queue_push_front, (GAsyncQueue * q, gpointer p), (q, p), __tsan_release(q), NOTHING)
VALUE_CALL(gpointer, g_async_queue_pop, (GAsyncQueue * q), (q), NOTHING, __tsan_acquire(q))
VALUE_CALL(gpointer, g_async_queue_try_pop, (GAsyncQueue * q), (q), NOTHING, __tsan_acquire(q))
VALUE_CALL(gpointer, g_async_queue_timeout_pop, (GAsyncQueue * q, guint64 us), (q, us), NOTHING, __tsan_acquire(q))

VALUE_CALL(gboolean, g_once_init_enter, (volatile void *once), (once), NOTHING,
           if (!value) __tsan_acquire((void *)once))
VOID_CALL(g_once_init_leave, (volatile void *once, gsize result), (once, result), __tsan_release((void *)once), NOTHING)

/* What the last owner of a GBytes frees, the others have let go of. */
VOID_CALL(g_bytes_unref, (GBytes * b), (b), __tsan_release(b); __tsan_acquire(b), NOTHING)
