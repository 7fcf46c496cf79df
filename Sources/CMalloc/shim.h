// Not among what Swift's Glibc module holds.
#include <malloc.h>
