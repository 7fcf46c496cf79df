// Counts what a program asks of the heap, and the threads that it starts, in all of its threads: this target's malloc, calloc, realloc, memalign,
// aligned_alloc, posix_memalign and pthread_create take the place of glibc's.
#pragma once

/// Begins to count, from 0.
void rd_count_begin(void);
/// Ends counting, and writes to standard error from where larger pieces of memory were asked for, the first few times.
/// What counts as larger is more than 32 bytes: a closure that other threads call takes so many, and an array more.
void rd_count_end(void);
long rd_counted_allocations(void);
/// Of more than 32 bytes.
long rd_counted_large_allocations(void);
long rd_counted_threads(void);
