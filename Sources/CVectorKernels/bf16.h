// bf16: the upper half of a float. Rounding is to the nearest, ties to even; a NaN stays one.
#pragma once
#include <stdint.h>
#include <string.h>

static inline __attribute__((always_inline)) uint16_t bf16_of(float value) {
  uint32_t w;
  memcpy(&w, &value, sizeof w);
  uint32_t nearest = w + 0x7fffu + ((w >> 16) & 1u), nan = w | 0x00400000u;
  return (uint16_t)((value != value ? nan : nearest) >> 16);
}
