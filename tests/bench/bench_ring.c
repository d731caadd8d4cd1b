#include "tests/bench/bench.h"

int bench_ring(int argc UNUSED, char **argv UNUSED, const struct bench_opts *o UNUSED) { return 1; }
