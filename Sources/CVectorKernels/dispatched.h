// A function marked so is compiled for several instruction sets; the loader takes the one that fits the processor.
#pragma once

#ifdef __has_feature
#if __has_feature(thread_sanitizer)
// What chooses would call the sanitizer before the loader has it ready.
#define DISPATCHED
#endif
#endif

#if defined(DISPATCHED)
#elif !defined(__x86_64__) || !defined(__linux__)
#define DISPATCHED
#elif defined(__clang__) && __clang_major__ < 18
// Older compilers crash on the names of the levels. Each of these features implies the vectors that go with it.
#define DISPATCHED __attribute__((target_clones("avx512f", "fma", "default")))
#else
#define DISPATCHED __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#endif
