/* SQLite's file layer with faults that tests switch on: what a failing or full disk does. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

struct faulty_vfs {
    atomic_bool fsync_fails;
    atomic_bool disk_is_full;
    atomic_int n_fsyncs;
};
extern struct faulty_vfs faulty_vfs;

/* Becomes the default of every connection opened from now on. */
void faulty_vfs_install(void);
