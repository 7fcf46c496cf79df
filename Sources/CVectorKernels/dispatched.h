// A function marked so is compiled for several instruction sets; the loader takes the one that fits the processor.
#pragma once

#if defined(__x86_64__) && defined(__linux__)
#define DISPATCHED __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define DISPATCHED
#endif
