#define _GNU_SOURCE
#include "CCountedMemory.h"
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);

enum { small = 32, traced = 20, depth = 16 };

static atomic_int counting;
static atomic_long allocations, large, threads;
static void *traces[traced][depth];
static int depths[traced];
// backtrace may itself allocate.
static __thread int noting;

// A sanitizer's own take glibc's place already, and nothing is counted.
#if !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)

static void note(size_t size) {
  if (!atomic_load(&counting) || noting) return;
  noting = 1;
  atomic_fetch_add(&allocations, 1);
  if (size > small) {
    long number = atomic_fetch_add(&large, 1);
    if (number < traced) depths[number] = backtrace(traces[number], depth);
  }
  noting = 0;
}

void *malloc(size_t size) {
  note(size);
  return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  note(count * size);
  return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size) {
  note(size);
  return __libc_realloc(memory, size);
}

void *memalign(size_t alignment, size_t size) {
  note(size);
  return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
  note(size);
  return __libc_memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size) {
  note(size);
  *memory = __libc_memalign(alignment, size);
  return *memory ? 0 : ENOMEM;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument) {
  static int (*original)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
  if (!original) *(void **)&original = dlsym(RTLD_NEXT, "pthread_create");
  if (atomic_load(&counting)) atomic_fetch_add(&threads, 1);
  return original(thread, attributes, start, argument);
}

#endif

void rd_count_begin(void) {
  // The first call loads a library.
  void *frames[depth];
  backtrace(frames, depth);
  atomic_store(&allocations, 0);
  atomic_store(&large, 0);
  atomic_store(&threads, 0);
  atomic_store(&counting, 1);
}

void rd_count_end(void) {
  atomic_store(&counting, 0);
  long count = atomic_load(&large);
  for (long i = 0; i < count && i < traced; i++) {
    backtrace_symbols_fd(traces[i], depths[i], STDERR_FILENO);
    (void)!write(STDERR_FILENO, "\n", 1);
  }
}

long rd_counted_allocations(void) { return atomic_load(&allocations); }
long rd_counted_large_allocations(void) { return atomic_load(&large); }
long rd_counted_threads(void) { return atomic_load(&threads); }
