"""The planners are pure: no clock, no randomness, no I/O, no environment in src/plan."""

from law import c_code, is_c, matches

CALLS = (
    r"\b(?:time|clock|clock_gettime|gettimeofday|g_get_(?:real|monotonic)_time|g_date_time_new_now\w*|timestamp_now\w*"
    r"|now_us|rand|random|arc4random\w*|g_random_\w+|g_rand_\w+|getrandom|randombytes\w*|id_new\w*|g_uuid_\w+"
    r"|fopen|open|openat|read|write|socket|connect|send|recv|stat|unlink|mkdir|g_file_\w+|g_mkdir\w*|g_spawn_\w+"
    r"|process_run|http_client_\w+|store_\w+|printf|fprintf|puts|g_print\w*|g_message|g_warning|log_\w+|getenv|g_getenv"
    r"|g_usleep|sleep|usleep|nanosleep|pthread_\w+|g_thread_\w+|g_mutex_\w+)[ \t]*\("
)
HEADERS = r"(?m)^[ \t]*#[ \t]*include[ \t]*<(?:time|unistd|fcntl|sys/\w+|pthread|stdio|netdb|sqlite3|libpq-fe)\.h>"


def check(files):
    for path, text in files.items():
        if not is_c(path, "src/plan/"):
            continue
        code = c_code(text)
        for line, found in matches(CALLS, code):
            yield path, line, f"{found.rstrip('(').strip()}: time, ids and facts come in as arguments"
        for line, found in matches(HEADERS, code):
            yield path, line, f"{found}: a planner needs no such header"


EXAMPLES = [
    ({"src/plan/a.c": "/* time() */ int f(int now_us_) { return g_str_equal(\"read(\", x); }\n"}, 0),
    ({"src/plan/a.c": "int64_t t = g_get_monotonic_time();\n"}, 1),
    ({"src/plan/a.c": "#include <time.h>\nlong t = time(NULL);\n"}, 2),
    ({"src/plan/a.c": "FILE *f = fopen(p, m);\n"}, 1),
    ({"src/engine/a.c": "FILE *f = fopen(p, m);\n"}, 0),
]
