// Counts what a program asks of the heap, and the threads that it starts, in all of its threads: this target's malloc, calloc, realloc, memalign,
// aligned_alloc, posix_memalign and pthread_create take the place of glibc's.
#pragma once

/// Begins to count, from 0.
void rd_count_begin(void);
/// Ends counting, and writes to standard error from where memory was asked for the first few times.
void rd_count_end(void);
long rd_counted_allocations(void);
long rd_counted_threads(void);
