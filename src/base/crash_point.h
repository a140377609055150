/* Places where a test kills the process, as kill -9 would, to see what a crash at exactly this moment leaves.
 *
 * Only in a tree configured with -Dcrash_points=true; elsewhere a point is nothing at all. ENCLII_CRASH_POINT=NAME ends the
 * process at the first arrival at NAME, ENCLII_CRASH_POINT=NAME:N at the N-th. Names are `part.moment`; the black-box tests find
 * them in the sources and try each. Thread-safe. */
#pragma once

#ifdef ENCLII_CRASH_POINTS
void crash_point_reach(const char *name);
#define crash_point(name) crash_point_reach(name)
#else
#define crash_point(name) ((void)0)
#endif
